"""Credentials. Each has a gate that lets callers pass, makes them wait, or raises the last rejection."""
