"""Runs flows for sync callers, on the caller's own thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import Any, TypeVar

from xinference_bridge.client.flow import (
    Acquire,
    EnterGate,
    Flow,
    OpenStream,
    ReadFirstEvent,
    ReadRest,
    Send,
    Sleep,
    Via,
)
from xinference_bridge.client.places import Place, no_place_came_free, patience_for_place
from xinference_bridge.client.transport.requests_transport import RequestsTransport

Result = TypeVar("Result")

#: Set when the results of this thread's calls are no longer needed, so that they are not retried. Without it, a batch
#: that failed long ago went on sending requests.
given_up: ContextVar[threading.Event | None] = ContextVar("xinference_bridge_given_up", default=None)


class _GivenUp(BaseException):
    """Ends a flow whose result is no longer needed."""


class SyncDriver:
    """Runs flows over one transport. Thread-safe."""

    def __init__(self, transport: RequestsTransport) -> None:
        self._transport = transport
        self._places: dict[Hashable, threading.BoundedSemaphore] = {}

    def run(self, flow: Flow[Result]) -> Result:
        """Run a flow and return its result.

        Args:
            flow: A new flow. It is consumed.

        Returns:
            The flow's result.

        Raises:
            XinferenceError: The flow failed.
        """
        answer: Any = None
        failure: BaseException | None = None
        while True:
            try:
                effect = flow.send(answer) if failure is None else flow.throw(failure)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return] # of a Flow[Result]
            answer = failure = None
            try:
                answer = self._perform(effect)
            except BaseException as raised:  # noqa: BLE001 - thrown into the flow, so that its `finally` blocks run
                failure = raised

    def _perform(self, effect: Any) -> Any:
        kind = type(effect)
        if kind is Send:
            return self._transport.send(effect.call, effect.authorization)
        if kind is OpenStream:
            return self._transport.stream(effect.call, effect.authorization)
        if kind is ReadFirstEvent:
            chunks = iter(effect.stream)
            for chunk in chunks:
                if effect.events.hold(chunk):
                    break
            return chunks
        if kind is ReadRest:
            return effect.stream.read()
        if kind is Sleep:
            return _sleep(effect.seconds)
        if kind is Via:
            return effect.client.run(effect.flow)
        if kind is EnterGate:
            return effect.gate.wait(effect.timeout)
        return self._acquire(effect)

    def _acquire(self, effect: Acquire) -> Callable[[], None]:
        places = self._places.get(effect.key)
        if places is None:
            places = self._places.setdefault(effect.key, threading.BoundedSemaphore(effect.limit))
        owner = threading.get_ident()
        if not places.acquire(blocking=False):
            patience = patience_for_place(places, owner, effect.limit, effect.call)
            if not places.acquire(timeout=patience):
                raise no_place_came_free(effect.limit, effect.call)
        return Place(places, owner, places.release)


def _sleep(seconds: float) -> None:
    stopped = given_up.get()
    if stopped is None:
        time.sleep(seconds)
    elif stopped.wait(seconds):
        raise _GivenUp
