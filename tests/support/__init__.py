"""Helpers for the tests: recording, replay, and the network guard."""
