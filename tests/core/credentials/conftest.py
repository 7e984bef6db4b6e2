"""Resets the gates between tests; provides a clock, a server's logins and a gate for them."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from tests.core.credentials.fakes import PASSWORD, URL, FakeClock, FakeServer
from xinference_bridge.client.auth import registry as gates
from xinference_bridge.client.auth.login import LoginGate


@pytest.fixture(autouse=True)
def _no_gates():
    gates.reset()
    yield
    gates.reset()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> FakeServer:
    return FakeServer(clock)


@pytest.fixture
def login(server: FakeServer, clock: FakeClock) -> LoginGate:
    return LoginGate(URL, "u", SecretStr(PASSWORD), post=server.post, clock=clock, wall_clock=clock)
