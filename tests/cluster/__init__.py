"""A supervisor and two workers, two replicas of a model, and what happens when one goes. Needs `make lab CLUSTER=1`."""
