"""Shared fixtures of the core's tests: a server that answers like a real one until a test breaks it."""

from __future__ import annotations

import pytest

from tests.core.asks import healthy
from tests.support.fault_proxy import fault_server
from xinference_bridge.client import registry as clients
from xinference_bridge.client import retry_policy
from xinference_bridge.client.auth import registry as gates
from xinference_bridge.client.transport import container


@pytest.fixture
def server():
    """A server on a port of its own with the recorded answers of a real one."""
    with fault_server() as running:
        yield healthy(running)


@pytest.fixture(autouse=True)
def _outside_a_container(monkeypatch):
    """What an error advises depends on where the tests run, unless they say."""
    monkeypatch.setattr(container, "inside_container", lambda: False)


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch):
    """Between two tries a test waits for a hundredth of a second, unless the server asks for more."""
    monkeypatch.setattr(retry_policy, "_backoff", lambda _: 0.01)


@pytest.fixture(autouse=True)
def _nothing_left_of_other_tests():
    """Start each test without the process-wide credential verdicts and open sockets."""
    gates.reset()
    yield
    clients.close_all()
    gates.reset()
