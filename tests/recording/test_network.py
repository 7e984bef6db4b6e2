"""The guard refuses a connection and leaves nothing open."""

from __future__ import annotations

import socket

import pytest

from xinference_bridge.testing.network import GUARD, NetworkBlockedError


def test_a_refused_socket_is_closed():
    with socket.socket() as sock:
        with pytest.raises(NetworkBlockedError):
            sock.connect(("192.0.2.1", 80))
        assert sock.fileno() == -1
    GUARD.attempts.clear()  # else the test fails for having tried
