"""Shared fixtures of the command's tests: no state of other tests, no `.env` of the folder, a configurable server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fault_proxy import fault_server
from xinference_bridge.cli import doctor, network_checks
from xinference_bridge.client import registry as clients
from xinference_bridge.client.auth import registry as gates

if TYPE_CHECKING:
    from tests.support.lab import Lab


@pytest.fixture(autouse=True)
def _as_if_just_started(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    gates.reset()
    yield
    clients.close_all()
    gates.reset()


@pytest.fixture
def server():
    """A server on a separate port, with responses that the test defines."""
    with fault_server() as running:
        yield running


@pytest.fixture
def reached(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    """The looks below HTTP reach the lab, also where its answers are replayed and nothing listens."""
    if not lab.live:
        replayed = network_checks.Reach(lambda host, _port: [host], lambda *_: 0.5, lambda _url: True)
        monkeypatch.setattr(doctor, "Reach", lambda: replayed)
