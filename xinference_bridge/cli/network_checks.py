"""The looks that a doctor takes below HTTP: does the name resolve, is the port open, does a Xinference answer there."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.connection_settings import CallOptions
from xinference_bridge.errors import XinferenceError
from xinference_bridge.protocol.server import AUTH_NEEDED

#: A look is one request, once: what is slow or refused now is what the doctor wants to tell.
LOOK = CallOptions(timeout=10.0, connect_timeout=5.0, deadline=15.0, max_retries=0)


def look_within(seconds: float | None) -> CallOptions:
    """Return the options of a look that ends within this many seconds, or the usual ones for None."""
    if seconds is None:
        return LOOK
    return CallOptions(timeout=seconds, connect_timeout=seconds, deadline=seconds, max_retries=0)


_GLANCE = CallOptions(timeout=2.0, connect_timeout=1.0, deadline=3.0, max_retries=0)


def resolve(host: str, port: int) -> list[str]:
    """The addresses that the name stands for; raises OSError when it stands for none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def open_port(host: str, port: int, seconds: float) -> float:
    """Milliseconds that it took to connect; raises OSError when nothing listens."""
    begun = time.perf_counter()
    with socket.create_connection((host, port), timeout=seconds):
        return (time.perf_counter() - begun) * 1000


def says_auth(server_url: str, options: CallOptions = _GLANCE) -> bool:
    """Whether what answers at this URL says, as a Xinference does, if it wants a credential; none is sent."""
    try:
        with XinferenceConnection(server_url=server_url, api_key=None, username=None, password=None) as connection:
            data = connection.client.send(AUTH_NEEDED, options).json()
    except XinferenceError:
        return False
    return isinstance(data, dict) and "auth" in data


@dataclass(frozen=True, slots=True)
class Reach:
    """The three looks, so that a test can stand in for the network."""

    resolve: Callable[[str, int], list[str]] = resolve
    open_port: Callable[[str, int, float], float] = open_port
    says_auth: Callable[[str], bool] = says_auth
