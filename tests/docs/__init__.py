"""The documentation is correct: every block of code in it runs."""
