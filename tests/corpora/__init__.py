"""Jobs on clusters, run by `make test-corpora`."""
