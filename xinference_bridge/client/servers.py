"""Failover: which server a call goes to, and which servers are skipped after a failure.

Servers are tried in the given order. A server that could not answer is skipped, for longer each time, and
tried last meanwhile. After that time one call tries it, and the others follow once it has answered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from xinference_bridge.errors import (
    XinferenceAuthenticationError,
    XinferenceBannedError,
    XinferenceConnectionError,
    XinferenceError,
    XinferenceModelLoadingError,
    XinferenceModelNotFoundError,
    XinferencePermissionError,
    XinferenceServerError,
    XinferenceTimeoutError,
)

Target = TypeVar("Target")

#: Seconds for which a server is skipped after its first failure. Doubled after each further one.
FIRST_REST = 5.0
LONGEST_REST = 60.0
#: While one call tries a server again, the others skip it for this many seconds.
TRIAL = 5.0


class Server(Generic[Target]):
    """One server and its health. Thread-safe."""

    def __init__(self, target: Target, clock: Callable[[], float] = time.monotonic) -> None:
        self.target = target
        self._clock = clock
        self._lock = threading.Lock()
        self._rest = 0.0
        self._until = 0.0

    @property
    def resting(self) -> bool:
        """Whether the server is skipped now."""
        return self._clock() < self._until

    @property
    def failing(self) -> bool:
        """Whether the server has not answered since its last failure, even if its pause is over."""
        return self._rest > 0

    def take(self) -> bool:
        """Return whether a call may use this server now. After a pause, one call may try it."""
        if not self._rest:
            return True
        with self._lock:
            now = self._clock()
            if now < self._until:
                return False
            self._until = now + TRIAL
            return True

    def failed(self) -> None:
        """Skip this server, twice as long as last time."""
        with self._lock:
            self._rest = min(LONGEST_REST, 2 * self._rest) if self._rest else FIRST_REST
            self._until = self._clock() + self._rest

    def answered(self) -> None:
        """Mark the server as available again."""
        if self._rest:
            with self._lock:
                self._rest = self._until = 0.0


class Servers(Generic[Target]):
    """The servers of one connection. The first one is preferred."""

    def __init__(self, targets: list[Target], clock: Callable[[], float] = time.monotonic) -> None:
        self._servers = [Server(target, clock) for target in targets]

    def in_turn(self) -> Iterator[Server[Target]]:
        """Yield the servers for one call, in order. Skipped servers come last, in case no other answers."""
        passed_over = []
        for server in self._servers:
            if server.take():
                yield server
            else:
                passed_over.append(server)
        yield from passed_over


def moves_on(failure: XinferenceError, *, preferred: bool, opening_stream: bool) -> bool:
    """Return whether another server may succeed after this failure.

    Args:
        failure: The failure.
        preferred: Whether this is the first server. A wrong credential is reported for it, and skipped for a fallback.
        opening_stream: Whether a stream was opened without any event so far.
    """
    if isinstance(failure, (XinferenceModelLoadingError, XinferenceModelNotFoundError)):
        return True  # a server that was restarted answers before its models are launched
    if isinstance(failure, XinferenceConnectionError):
        return failure.retryable or opening_stream
    if isinstance(failure, (XinferenceServerError, XinferenceTimeoutError)):
        return failure.retryable  # 502, 503, 504; no connection in time
    return isinstance(failure, _OF_ITS_CREDENTIAL) and not preferred


def worst_of(failures: list[XinferenceError]) -> XinferenceError:
    """Return the failure to raise if no server answered: the first retryable one, or else the first.

    Its message includes the failures of the other servers.
    """
    told = next((failure for failure in failures if failure.retryable), failures[0])
    others = [failure.message for failure in failures if failure is not told]
    return told.with_note("No other server answered: " + " / ".join(others)) if others else told


#: Errors about a server's credential. Each server has a different one.
_OF_ITS_CREDENTIAL = (XinferenceAuthenticationError, XinferencePermissionError, XinferenceBannedError)
