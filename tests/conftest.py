"""The setup of every test: `tests/support/plugin.py` implements it, CONTRIBUTING.md explains it."""

from tests.support.plugin import (
    _network,
    expected_recordings,
    lab,
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_runtest_setup,
    pytest_unconfigure,
    vcr,
)

pytest_plugins = ["pytester"]

# These have environments of their own: `make test-corpora`, `make test-langgraph-dev`.
collect_ignore = ["corpora", "langgraph_dev"]

__all__ = [
    "_network",
    "expected_recordings",
    "lab",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_setup",
    "pytest_unconfigure",
    "vcr",
]
