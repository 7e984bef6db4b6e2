"""The machinery under the tests: recording, replay, and the guard on the network."""
