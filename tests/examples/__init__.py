"""Each example does what it says, on the lab's models."""
