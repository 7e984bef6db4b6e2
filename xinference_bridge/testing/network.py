"""The guard on the network: what a test may connect to, and a memory of what it tried.

It stands on the interpreter's audit events, which are raised wherever a connection is made, whatever made it, and which
nothing can take away again: pytest-socket, which langchain-tests brings along, un-patches `socket.socket.connect` after
every test. Unix sockets and the socket pairs that event loops are made of pass.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any

_INTERNET = (socket.AF_INET, socket.AF_INET6)


class NetworkBlockedError(RuntimeError):
    """A test tried to reach an address that it may not reach.

    Not an `OSError`: nothing that handles a failed connection may take it for one and carry on.
    """


class NetworkGuard:
    """Refuses every connection, save those that the present test has been granted."""

    def __init__(self) -> None:
        self.server: tuple[str, int] | None = None
        """The server's address, while a test that talks to it runs live or is recorded."""
        self.loopback = False
        """Whether the present test may reach every loopback port but the forbidden ones."""
        self.own_ports = False
        """Whether the present test may reach the loopback ports that this process has bound."""
        self.forbidden_ports: frozenset[int] = frozenset()
        """Loopback ports that no grant covers: the server's."""
        self.attempts: list[str] = []
        """Every refused attempt since the last reset, also those whose error was swallowed."""
        self.hint = "Outside of recordings, this test may talk to loopback ports only."
        """The next step, told with every refusal."""
        self.on = False
        """Whether anything is refused at all."""
        self._bound: set[int] = set()
        self._hooked = False

    def install(self) -> None:
        """Watch this process from now on."""
        self.on = True
        if self._hooked:
            return
        self._hooked = True
        sys.addaudithook(self._audit)
        # The event of `bind` comes before the kernel has chosen a port. Were this patch undone, own ports would be
        # refused: the safe side.
        bind = socket.socket.bind

        def remembering(sock: socket.socket, address: Any) -> None:
            bind(sock, address)
            if sock.family in _INTERNET:
                self._bound.add(sock.getsockname()[1])

        socket.socket.bind = remembering  # type: ignore[method-assign, assignment]

    def stand_down(self) -> None:
        """Let everything pass again."""
        self.on = False

    def reset(self) -> None:
        """Grant nothing, and forget the attempts."""
        self.server = None
        self.own_ports = False
        self.loopback = False
        self.attempts.clear()

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or not event.startswith("socket."):
            return
        if event in {"socket.connect", "socket.sendto"}:
            self._check_address(*arguments)
        elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
            self._check_name(arguments[0])

    def _check_address(self, sock: socket.socket, address: Any) -> None:
        if sock.family not in _INTERNET:
            return
        host, port = str(address[0]), int(address[1])
        granted = (host, port) == self.server or (
            (self.loopback or (self.own_ports and port in self._bound))
            and _is_loopback(host)
            and port not in self.forbidden_ports
        )
        if not granted:
            sock.close()  # urllib3 closes it after an OSError only
            raise self._refusal(f"{host}:{port}")

    def _check_name(self, name: str | bytes | None) -> None:
        host = name.decode() if isinstance(name, bytes) else name or ""
        if host.endswith(".invalid"):  # RFC 2606: it never resolves, so nobody needs to be asked
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if host and host != "localhost" and not _is_literal(host) and (self.server is None or host != self.server[0]):
            raise self._refusal(f"a name server, to look up {host!r}")

    def _refusal(self, what: str) -> NetworkBlockedError:
        self.attempts.append(what)
        return NetworkBlockedError(f"This test may not reach {what}. {self.hint}")


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_literal(host) and ipaddress.ip_address(host).is_loopback)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


GUARD = NetworkGuard()
"""The one guard of the test process."""
