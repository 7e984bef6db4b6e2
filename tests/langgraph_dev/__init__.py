"""Graphs that `langgraph dev` serves, and what it answers; run by `make test-langgraph-dev`."""
