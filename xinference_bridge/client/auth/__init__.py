"""Credentials: one gate for each, which lets callers pass, makes them wait, or tells them of the last refusal."""
