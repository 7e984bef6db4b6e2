"""The sockets of sync requests are closed on every path."""

from __future__ import annotations

import socket

import pytest

from xinference_bridge.client.transport.watched_sockets import _POOLS, Watch


@pytest.mark.fault_server
def test_a_socket_that_is_connected_after_the_deadline_is_closed():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        connection = _POOLS["http"]("127.0.0.1", listener.getsockname()[1])._new_conn()
        connection.watch = Watch(None, left=-1.0)
        with pytest.raises(TimeoutError) as held:
            connection._new_conn()
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(5)
            assert accepted.recv(1) == b""  # closed, although the error still holds the frame
        assert held.value.__traceback__ is not None
