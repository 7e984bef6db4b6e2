"""The slots of `max_concurrency` and their holders, so that a call that would wait for itself fails immediately."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextvars import ContextVar

from xinference_bridge.errors import XinferenceConfigurationError


class Place:
    """One acquired slot. Calling it releases the slot, once."""

    __slots__ = ("_give_back", "given_back", "owner", "places")

    def __init__(self, places: object, owner: Hashable, give_back: Callable[[], None]) -> None:
        self.places = places
        self.owner = owner
        self.given_back = False
        self._give_back = give_back
        _held.set((*(place for place in _held.get() if not place.given_back), self))

    def __call__(self) -> None:
        """Release the slot."""
        if not self.given_back:
            self.given_back = True
            self._give_back()


_held: ContextVar[tuple[Place, ...]] = ContextVar("xinference_bridge_places", default=())


def refuse_to_wait_for_oneself(places: object, owner: Hashable, limit: int, url: str) -> None:
    """Check that a call that found no free slot can wait for one.

    Args:
        places: The slots.
        owner: The thread or task that would wait.
        limit: The number of slots.
        url: The URL of the request, for the error.

    Raises:
        XinferenceConfigurationError: The same thread or task holds all slots, in streams that it has not finished.
    """
    mine = sum(1 for place in _held.get() if place.places is places and place.owner == owner and not place.given_back)
    if mine >= limit:
        msg = (
            f"max_concurrency={limit} leaves no place for this call: all are held by streams that the same thread or "
            "task reads, and none can end while it waits. End or close the stream first, or raise max_concurrency"
        )
        raise XinferenceConfigurationError(msg, url=url)
