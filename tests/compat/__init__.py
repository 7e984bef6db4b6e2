"""Servers of other ages: the newest of each line, asked the same."""
