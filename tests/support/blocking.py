"""Async tests run under BlockBuster: a blocking call inside the event loop raises, as under `langgraph dev`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest
from blockbuster import BlockBuster


@cache
def _guard() -> BlockBuster:
    """The one guard: to build another takes milliseconds, to switch it on and off does not."""
    return BlockBuster()


@contextmanager
def no_blocking_calls(item: pytest.Item) -> Iterator[None]:
    """Guard the event loop of an async test, unless it is marked `blocks_the_loop`."""
    if not inspect.iscoroutinefunction(getattr(item, "obj", None)) or item.get_closest_marker("blocks_the_loop"):
        yield
        return
    _guard().activate()
    try:
        yield
    finally:
        _guard().deactivate()
