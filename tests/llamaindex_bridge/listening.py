"""Hears the events of llama-index-core's instrumentation."""

from __future__ import annotations

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
