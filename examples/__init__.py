"""Small, complete programs, each run by a test."""
