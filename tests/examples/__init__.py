"""Each example works as described, on the lab's models."""
