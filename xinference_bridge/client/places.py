"""The places of `max_concurrency`: who holds one, so that a call which waits for itself is told of it at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextvars import ContextVar

from xinference_bridge.errors import XinferenceConfigurationError


class Place:
    """One place that was taken; calling it gives it back, once."""

    __slots__ = ("_give_back", "given_back", "owner", "places")

    def __init__(self, places: object, owner: Hashable, give_back: Callable[[], None]) -> None:
        self.places = places
        self.owner = owner
        self.given_back = False
        self._give_back = give_back
        _held.set((*(place for place in _held.get() if not place.given_back), self))

    def __call__(self) -> None:
        """Give it back."""
        if not self.given_back:
            self.given_back = True
            self._give_back()


_held: ContextVar[tuple[Place, ...]] = ContextVar("xinference_bridge_places", default=())


def refuse_to_wait_for_oneself(places: object, owner: Hashable, limit: int, url: str) -> None:
    """Check that a call which found no place free may wait for one.

    Args:
        places: What the places are taken of.
        owner: The thread or the task that would wait.
        limit: How many places there are.
        url: The URL that would be asked, for the error.

    Raises:
        XinferenceConfigurationError: This same thread or task holds all of them, in streams that it has not ended.
    """
    mine = sum(1 for place in _held.get() if place.places is places and place.owner == owner and not place.given_back)
    if mine >= limit:
        msg = (
            f"max_concurrency={limit} leaves no place for this call: all are held by streams that the same thread or "
            "task reads, and none can end while it waits. End or close the stream first, or raise max_concurrency"
        )
        raise XinferenceConfigurationError(msg, url=url)
