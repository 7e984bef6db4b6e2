"""The machinery that records and replays, tried on a small server of its own."""
