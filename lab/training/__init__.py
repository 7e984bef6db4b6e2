"""Trains the tiny chat models; runs inside the lab's environment, never in the project's."""
