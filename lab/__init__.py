"""The lab: one command that starts a real Xinference with tiny real models on this machine."""
