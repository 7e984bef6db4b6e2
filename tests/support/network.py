"""The guard on the network: what a test may connect to, and a memory of what it tried.

The guard stands on `socket.socket` itself, so that it holds for `requests`, aiohttp and everything else. Unix sockets
and the socket pairs that event loops are made of pass.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_INTERNET = (socket.AF_INET, socket.AF_INET6)


class NetworkBlockedError(RuntimeError):
    """A test tried to reach an address that it may not reach.

    Not an `OSError`: nothing that handles a failed connection may take it for one and carry on.
    """


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class NetworkGuard:
    """Refuses every connection, save those that the present test has been granted."""

    def __init__(self) -> None:
        self.server: tuple[str, int] | None = None
        """The lab's address, while a test that talks to it runs live or is recorded."""
        self.own_ports = False
        """Whether the present test may reach the loopback ports that this process has bound."""
        self.forbidden_ports: frozenset[int] = frozenset()
        """Ports that no grant of `own_ports` covers: the lab's."""
        self.attempts: list[str] = []
        """Every refused attempt since the last reset, also those whose error was swallowed."""
        self._bound: set[int] = set()
        self._originals: dict[str, Any] = {}

    def allows(self, host: str, port: int) -> bool:
        """Whether a connection to this address would pass."""
        if self.server is not None and (host, port) == self.server:
            return True
        return self.own_ports and _is_loopback(host) and port in self._bound and port not in self.forbidden_ports

    def reset(self) -> None:
        """Grant nothing, and forget the attempts."""
        self.server = None
        self.own_ports = False
        self.attempts.clear()

    def install(self) -> None:
        """Put the guard in place for the whole process."""
        self._originals = {
            "connect": socket.socket.connect,
            "connect_ex": socket.socket.connect_ex,
            "bind": socket.socket.bind,
            "getaddrinfo": socket.getaddrinfo,
        }
        socket.socket.connect = self._guarded(socket.socket.connect)  # type: ignore[method-assign]
        socket.socket.connect_ex = self._guarded(socket.socket.connect_ex)  # type: ignore[method-assign]
        socket.socket.bind = self._remembering(socket.socket.bind)  # type: ignore[method-assign]
        socket.getaddrinfo = self._resolving(socket.getaddrinfo)

    def uninstall(self) -> None:
        """Take the guard away again."""
        for name, original in self._originals.items():
            setattr(socket if name == "getaddrinfo" else socket.socket, name, original)
        self._originals = {}

    def _refuse(self, what: str) -> NetworkBlockedError:
        self.attempts.append(what)
        return NetworkBlockedError(
            f"This test may not reach {what}. Mark it `server` to talk to the lab (recorded, replayed by default), or "
            "`fault_server` to talk to a loopback port that it binds itself."
        )

    def _guarded(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(sock: socket.socket, address: Any, *rest: Any) -> Any:
            if sock.family in _INTERNET and not self.allows(str(address[0]), int(address[1])):
                raise self._refuse(f"{address[0]}:{address[1]}")
            return original(sock, address, *rest)

        return connect

    def _remembering(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def bind(sock: socket.socket, address: Any) -> Any:
            result = original(sock, address)
            if sock.family in _INTERNET:
                self._bound.add(sock.getsockname()[1])
            return result

        return bind

    def _resolving(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def getaddrinfo(host: Any, *rest: Any, **named: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else host
            if name is not None and name.endswith(".invalid"):  # RFC 2606: never resolves, so no network is needed to say so
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            if not (name is None or _is_literal(name) or (self.server is not None and name == self.server[0])):
                raise self._refuse(f"a name server, to look up {name!r}")
            return original(host, *rest, **named)

        return getaddrinfo


def _is_literal(name: str) -> bool:
    if name in {"", "localhost"}:
        return True
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


GUARD = NetworkGuard()
"""The one guard of the test process."""
