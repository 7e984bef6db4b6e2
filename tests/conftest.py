"""What every test runs under: `tests/support/plugin.py` says how, CONTRIBUTING.md how to use it."""

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
