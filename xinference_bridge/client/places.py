"""The slots of `max_concurrency` and their holders, so that a call that would wait for itself fails immediately."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import TYPE_CHECKING

from xinference_bridge.errors import XinferenceConfigurationError, XinferenceTimeoutError

if TYPE_CHECKING:
    from xinference_bridge.client.transport.call import Call


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


def patience_for_place(places: object, owner: Hashable, limit: int, call: Call) -> float | None:
    """Return the seconds that a call may wait for a free slot; None means without a limit.

    A task or thread that inherited its context from streams that hold all slots may be what their reader waits for.
    This cannot be detected, so such a call waits no longer than its `timeout`.

    Args:
        places: The pool of slots.
        owner: The thread or task that would wait.
        limit: The number of slots.
        call: The call that needs a slot.

    Returns:
        The seconds, limited by the call's deadline.

    Raises:
        XinferenceConfigurationError: The same thread or task holds all slots, in streams that it has not finished.
    """
    inherited = [place for place in _held.get() if place.places is places and not place.given_back]
    if sum(place.owner == owner for place in inherited) >= limit:
        msg = (
            f"max_concurrency={limit} leaves no place for this call: all are held by streams that the same thread or "
            "task reads, and none can end while it waits. End or close the stream first, or raise max_concurrency"
        )
        raise XinferenceConfigurationError(msg, url=call.url)
    return call.read_timeout() if len(inherited) >= limit else call.remaining()


def no_place_came_free(limit: int, call: Call) -> XinferenceTimeoutError:
    """Return the error for a call that found no free slot in time."""
    if call.is_late():
        return call.deadline_passed()
    msg = (
        f"max_concurrency={limit} left no place for this call within its timeout of {call.budget.timeout} s: all are "
        "held by streams amid which it was started. If their reader waits for this call, none can end: close a stream "
        "first, or raise max_concurrency"
    )
    return XinferenceTimeoutError(msg, url=call.url)
