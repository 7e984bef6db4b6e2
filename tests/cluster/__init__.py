"""A supervisor, two workers and two replicas of a model, and the loss of one. Needs `make lab CLUSTER=1`."""
