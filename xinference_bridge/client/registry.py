"""The registry of clients: one for each set of settings in this process.

Separate from the connection, which is a plain value: copying, pickling or comparing it involves no sockets and locks,
and using it does not change it.
"""

from __future__ import annotations

import atexit
import os
import threading

from xinference_bridge.client.client import Client
from xinference_bridge.connection_settings import ConnectionSettings

#: A service that forwards its users' keys has a client for each; the oldest close their idle sockets and are dropped.
#: A client that is still in use is recreated on its next call.
MOST_CLIENTS = 256

_clients: dict[ConnectionSettings, Client] = {}
_lock = threading.Lock()


def client_for(settings: ConnectionSettings) -> Client:
    """Return this process's client for these settings. It is created on first use."""
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
    """Remove the client from the registry. The next use of the settings creates a new one."""
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
    # The child has copies of the parent's sockets and perhaps a held lock. It drops them without a shutdown:
    # closing a TLS session properly would end the parent's too.
    global _lock  # noqa: PLW0603 - a lock that was held at the fork is never released
    _lock = threading.Lock()
    for client in _clients.values():
        client.drop_after_fork()
    _abandoned.extend(_clients.values())
    _clients.clear()


#: Kept so that no destructor runs in the child, which would use the parent's event loops.
_abandoned: list[Client] = []

atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_after_fork)
