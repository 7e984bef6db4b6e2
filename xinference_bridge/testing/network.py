"""The network guard: limits which addresses a test may connect to, and records what it tried.

It uses the interpreter's audit events, which are raised for every connection and cannot be removed again. A patch could
be: pytest-socket, a dependency of langchain-tests, un-patches `socket.socket.connect` after every test. Unix sockets,
and the socket pairs of event loops, are allowed.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any

_INTERNET = (socket.AF_INET, socket.AF_INET6)


class NetworkBlockedError(RuntimeError):
    """A test tried to connect to a forbidden address.

    It is not an `OSError`, so that code which handles failed connections does not swallow it.
    """


class NetworkGuard:
    """Refuses every connection except those that the current test may make."""

    def __init__(self) -> None:
        self.server: tuple[str, int] | None = None
        """The server's address while a test that uses it runs live or is recorded."""
        self.loopback = False
        """Whether the current test may connect to every loopback port except the forbidden ones."""
        self.own_ports = False
        """Whether the current test may connect to the loopback ports that this process has bound."""
        self.forbidden_ports: frozenset[int] = frozenset()
        """Loopback ports that are always forbidden: the server's."""
        self.attempts: list[str] = []
        """Every refused attempt since the last reset, including those whose error was swallowed."""
        self.hint = "Outside of recordings, this test may talk to loopback ports only."
        """The advice in the message of every refusal."""
        self.on = False
        """Whether the guard is active."""
        self._bound: set[int] = set()
        self._hooked = False

    def install(self) -> None:
        """Activate the guard for this process."""
        self.on = True
        if self._hooked:
            return
        self._hooked = True
        sys.addaudithook(self._audit)
        # The event of `bind` comes before the kernel has chosen a port, so `bind` is patched. If the patch is undone,
        # the process's own ports are refused, which is safe.
        bind = socket.socket.bind

        def remembering(sock: socket.socket, address: Any) -> None:
            bind(sock, address)
            if sock.family in _INTERNET:
                self._bound.add(sock.getsockname()[1])

        socket.socket.bind = remembering  # type: ignore[method-assign, assignment]

    def stand_down(self) -> None:
        """Allow every connection again."""
        self.on = False

    def reset(self) -> None:
        """Reset all permissions and recorded attempts."""
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
        if host.endswith(".invalid"):  # RFC 2606: it never resolves, so no DNS query is needed
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
"""The guard of the test process."""
