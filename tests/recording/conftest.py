"""Fixtures: a server to record from, and a recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recording.tools import KEY
from tests.support.echo_server import EchoServer, echo_server
from tests.support.lab import Lab
from xinference_bridge.testing import open_recording


@pytest.fixture
def server():
    with echo_server() as running:
        yield running


@pytest.fixture
def lab_of(server: EchoServer) -> Lab:
    return Lab(url=server.url, api_key=KEY, username="ada", password="correct horse", live=True)


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return tmp_path / "tape.yaml"


@pytest.fixture
def record(tape: Path, lab_of: Lab):
    """Runs a function while its exchanges with the server are recorded."""

    def recorded(function, *args):
        with open_recording(tape, lab_of, record=True) as recording:
            result = function(*args)
            recording.keep = True
        return result

    return recorded
