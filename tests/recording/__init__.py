"""Tests of recording and replay, on a small separate server."""
