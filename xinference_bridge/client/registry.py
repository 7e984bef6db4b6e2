"""What lives behind a connection: one client for each set of settings in this process.

Kept outside the connection, which is a plain value: copied, pickled or compared, it neither drags sockets and locks
along nor changes when it is first used.
"""

from __future__ import annotations

import atexit
import os
import threading

from xinference_bridge.client.client import Client
from xinference_bridge.connection_settings import ConnectionSettings

#: A service that passes on its users' own keys has a client for each; the oldest close their idle sockets and go.
#: One that is still in use is made anew at its next call.
MOST_CLIENTS = 256

_clients: dict[ConnectionSettings, Client] = {}
_lock = threading.Lock()


def client_for(settings: ConnectionSettings) -> Client:
    """The process's one client for these settings, made at first need."""
    client = _clients.get(settings)
    if client is None:
        superseded: list[Client] = []
        with _lock:
            client = _clients.get(settings)
            if client is None:
                while len(_clients) >= MOST_CLIENTS:
                    superseded.append(_clients.pop(next(iter(_clients))))
                client = _clients[settings] = Client(settings)
        for old in superseded:
            old.close()
    return client


def forget(settings: ConnectionSettings) -> Client | None:
    """Take the client out of the registry; the next use of the settings makes a new one."""
    with _lock:
        return _clients.pop(settings, None)


def close_all() -> None:
    """Close every client's sockets."""
    with _lock:
        clients = list(_clients.values())
        _clients.clear()
    for client in clients:
        client.close()


def _abandon_after_fork() -> None:
    # The child holds copies of the parent's sockets and perhaps a lock in mid-use. It drops them without a goodbye:
    # closing a TLS session properly would end the parent's too.
    global _lock  # noqa: PLW0603 - a lock that was held at the fork is never released
    _lock = threading.Lock()
    for client in _clients.values():
        client.drop_after_fork()
    _abandoned.extend(_clients.values())
    _clients.clear()


#: Kept so that no destructor runs in the child, which would speak to the parent's event loops.
_abandoned: list[Client] = []

atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_after_fork)
