"""Runs flows for async callers, in the running event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

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
from xinference_bridge.client.transport.aiohttp_transport import AiohttpTransport

Result = TypeVar("Result")
_Places = dict[Hashable, asyncio.BoundedSemaphore]


class AsyncDriver:
    """Runs flows over one transport. `max_concurrency` applies per event loop."""

    def __init__(self, transport: AiohttpTransport) -> None:
        self._transport = transport
        self._places: WeakKeyDictionary[asyncio.AbstractEventLoop, _Places] = WeakKeyDictionary()

    async def run(self, flow: Flow[Result]) -> Result:
        """Async version of `SyncDriver.run`."""
        answer: Any = None
        failure: BaseException | None = None
        while True:
            try:
                effect = flow.send(answer) if failure is None else flow.throw(failure)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return] # of a Flow[Result]
            answer = failure = None
            try:
                answer = await self._perform(effect)
            except BaseException as raised:  # noqa: BLE001 - thrown into the flow, so that its `finally` blocks run
                failure = raised

    async def _perform(self, effect: Any) -> Any:
        kind = type(effect)
        if kind is Send:
            return await self._transport.send(effect.call, effect.authorization)
        if kind is OpenStream:
            return await self._transport.stream(effect.call, effect.authorization)
        if kind is ReadFirstEvent:
            chunks = aiter(effect.stream)
            async for chunk in chunks:
                if effect.events.hold(chunk):
                    break
            return chunks
        if kind is ReadRest:
            return await effect.stream.read()
        if kind is Sleep:
            return await asyncio.sleep(effect.seconds)
        if kind is Via:
            return await effect.client.arun(effect.flow)
        if kind is EnterGate:
            return await effect.gate.await_permit(effect.timeout)
        return await self._acquire(effect)

    async def _acquire(self, effect: Acquire) -> Callable[[], None]:
        of_loop = self._places.setdefault(asyncio.get_running_loop(), {})
        places = of_loop.get(effect.key)
        if places is None:
            places = of_loop[effect.key] = asyncio.BoundedSemaphore(effect.limit)
        owner = asyncio.current_task()
        left = (
            patience_for_place(places, owner, effect.limit, effect.call) if places.locked() else effect.call.remaining()
        )
        if left is None:
            await places.acquire()
        else:
            try:
                await asyncio.wait_for(places.acquire(), left)
            except asyncio.TimeoutError:
                raise no_place_came_free(effect.limit, effect.call) from None
        return Place(places, owner, places.release)
