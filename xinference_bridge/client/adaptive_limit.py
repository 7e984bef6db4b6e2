"""How many concurrent requests a bulk job sends: half as many when the server is overloaded, then slowly more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from xinference_bridge.errors import XinferenceError

#: The bulk job for which the calls of this thread or task are made.
_listener: ContextVar[Callable[[], None] | None] = ContextVar("xinference_bridge_overload", default=None)

_OVERLOADED = (429, 503)


def report_overload(failure: XinferenceError) -> None:
    """Let the bulk job know, if this call is made for one, that the server asked for patience.

    Told of each refusal, also of one that a retry mends: else nobody would slow down before a call has failed for good.
    """
    if failure.status_code in _OVERLOADED:
        listener = _listener.get()
        if listener is not None:
            listener()


class AdaptiveLimit:
    """How many requests may be in flight; `most` at first. Safe for threads."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.allowed = most
        self._lock = threading.Lock()
        self._halvings = 0
        self._answered = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One request with its retries: an overload that it meets halves the limit, its success helps it up again."""
        seen = self._halvings

        def overloaded() -> None:
            nonlocal seen
            # Those that were in flight when the limit was halved are refused too: together they halve it once.
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
            # One more after a whole round of answers, so that it creeps up to what the server bears.
            if self._answered >= self.allowed < self.most:
                self.allowed += 1
                self._answered = 0
