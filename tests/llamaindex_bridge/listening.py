"""Helpers for llama-index-core's events and rate limiter."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Any

from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation import get_dispatcher


class _Listener(BaseEventHandler):
    def __init__(self, events: list[Any]) -> None:
        super().__init__()
        self._events = events

    @classmethod
    def class_name(cls) -> str:
        return "Listener"

    def handle(self, event, **kwargs) -> None:
        self._events.append(event)


@contextmanager
def heard():
    """The events of the body, in order."""
    events: list[Any] = []
    root = get_dispatcher()
    listener = _Listener(events)
    root.add_event_handler(listener)
    try:
        yield events
    finally:
        root.event_handlers.remove(listener)


class CountingLimiter:
    """As llama-index-core's rate limiters are called."""

    def __init__(self) -> None:
        self.taken = 0
        self.threads: set[int] = set()

    def acquire(self) -> None:
        self.taken += 1
        self.threads.add(threading.get_ident())

    async def async_acquire(self) -> None:
        self.taken += 1
