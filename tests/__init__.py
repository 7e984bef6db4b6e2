"""What the bridge promises, one promise a test."""
