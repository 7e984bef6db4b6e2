"""The adaptive concurrency of a bulk job: halved when the server is overloaded, then slowly raised."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from xinference_bridge.errors import XinferenceError

#: The limit of the bulk job that this thread or task works for.
_listener: ContextVar[Callable[[], None] | None] = ContextVar("xinference_bridge_overload", default=None)

_OVERLOADED = (429, 503)


def report_overload(failure: XinferenceError) -> None:
    """Report an overload to the bulk job that this call belongs to, if any.

    Called for every overload, even if a retry succeeds; otherwise the job would slow down only after a final failure.
    """
    if failure.status_code in _OVERLOADED:
        listener = _listener.get()
        if listener is not None:
            listener()


class AdaptiveLimit:
    """The number of requests that may be in flight; `most` at first. Thread-safe."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.allowed = most
        self._lock = threading.Lock()
        self._halvings = 0
        self._answered = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Run one request with its retries. An overload halves the limit; successes raise it again."""
        seen = self._halvings

        def overloaded() -> None:
            nonlocal seen
            # Requests in flight when the limit was halved also meet the overload: together they halve it once.
            seen = self._slow_down(seen)

        token = _listener.set(overloaded)
        try:
            yield
        finally:
            _listener.reset(token)
        self._speed_up()

    def _slow_down(self, seen: int) -> int:
        with self._lock:
            if seen == self._halvings:
                self._halvings += 1
                self.allowed = max(1, self.allowed // 2)
                self._answered = 0
            return self._halvings

    def _speed_up(self) -> None:
        if self.allowed == self.most:
            return
        with self._lock:
            self._answered += 1
            # One more after a full round of answers, so that it slowly approaches the server's capacity.
            if self._answered >= self.allowed < self.most:
                self.allowed += 1
                self._answered = 0
