"""Older servers: the newest version of each release line gets the same requests."""
