"""Handles of running models, one class for each kind of use."""
