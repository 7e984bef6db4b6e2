"""The doctor's checks below HTTP: does the name resolve, is the port open, does Xinference answer there."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.connection_settings import CallOptions
from xinference_bridge.errors import XinferenceError
from xinference_bridge.protocol.server import AUTH_NEEDED

#: One attempt per check: the doctor reports what is slow or refused now.
LOOK = CallOptions(timeout=10.0, connect_timeout=5.0, deadline=15.0, max_retries=0)


def look_within(seconds: float | None) -> CallOptions:
    """Return the options of a check that ends within this many seconds, or the usual ones for None."""
    if seconds is None:
        return LOOK
    return CallOptions(timeout=seconds, connect_timeout=seconds, deadline=seconds, max_retries=0)


_GLANCE = CallOptions(timeout=2.0, connect_timeout=1.0, deadline=3.0, max_retries=0)


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of the host name. Raise OSError if it does not resolve."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def open_port(host: str, port: int, seconds: float) -> float:
    """Return how long it took to connect, in milliseconds. Raise OSError if nothing listens."""
    begun = time.perf_counter()
    with socket.create_connection((host, port), timeout=seconds):
        return (time.perf_counter() - begun) * 1000


def says_auth(server_url: str, options: CallOptions = _GLANCE) -> bool:
    """Return whether a Xinference server answers at this URL. Sends no credential."""
    try:
        with XinferenceConnection(server_url=server_url, api_key=None, username=None, password=None) as connection:
            data = connection.client.send(AUTH_NEEDED, options).json()
    except XinferenceError:
        return False
    return isinstance(data, dict) and "auth" in data


@dataclass(frozen=True, slots=True)
class Reach:
    """The three network checks, which a test can replace."""

    resolve: Callable[[str, int], list[str]] = resolve
    open_port: Callable[[str, int, float], float] = open_port
    says_auth: Callable[[str], bool] = says_auth
