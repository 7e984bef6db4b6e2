"""The documentation says what is true: every block of code in it runs."""
