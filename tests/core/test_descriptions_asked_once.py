"""A model's description is fetched once, however many callers need it at the same time."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from xinference_bridge import XinferenceConnection
from xinference_bridge.client.async_driver import AsyncDriver
from xinference_bridge.client.authentication import Authentication
from xinference_bridge.client.description_cache import DescriptionCache
from xinference_bridge.client.flow import Flow
from xinference_bridge.client.request_flow import RequestFlow
from xinference_bridge.client.running_models import RunningModels
from xinference_bridge.client.sync_driver import SyncDriver
from xinference_bridge.client.transport.call import Budget
from xinference_bridge.errors import XinferenceServerError
from xinference_bridge.protocol.http import Response
from xinference_bridge.protocol.model_info import ModelInfo

SETTINGS = XinferenceConnection("http://example.org")


class Slow:
    """Replaces the transports: answers each description after a moment, or fails the first time."""

    def __init__(self, *, fails_first: bool = False) -> None:
        self.asked = 0
        self.fails_first = fails_first
        cache = DescriptionCache()
        self.running = RunningModels(SETTINGS, RequestFlow(SETTINGS, Authentication(SETTINGS), cache), cache)
        self.sync = SyncDriver(self)  # type: ignore[arg-type]

    def wish(self, uid: str = "m") -> Flow[ModelInfo]:
        """Fetch a description."""
        return self.running.describe(uid, Budget.of(SETTINGS))

    def answer(self) -> Response:
        self.asked += 1
        if self.fails_first and self.asked == 1:
            raise XinferenceServerError("not now", status_code=501)
        return Response(200, b'{"id": "m", "model_type": "LLM"}', {})

    def send(self, call, authorization):
        time.sleep(0.02)
        return self.answer()


class SlowInLoops(Slow):
    """Fetch a description in async code."""

    def __init__(self, *, fails_first: bool = False) -> None:
        super().__init__(fails_first=fails_first)
        self.driver = AsyncDriver(self)  # type: ignore[arg-type]

    async def send(self, call, authorization):
        await asyncio.sleep(0.02)
        return self.answer()


def test_of_many_threads_one_asks():
    sender = Slow()
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda _: sender.sync.run(sender.wish()), range(64)))
    assert sender.asked == 1
    assert all(model is told[0] for model in told)


async def test_of_many_tasks_one_asks():
    sender = SlowInLoops()
    told = await asyncio.gather(*(sender.driver.run(sender.wish()) for _ in range(64)))
    assert sender.asked == 1
    assert all(model is told[0] for model in told)


def test_one_event_loop_after_another_may_ask():
    sender = SlowInLoops()
    for uid in "ab":
        assert asyncio.run(sender.driver.run(sender.wish(uid))).type == "LLM"


async def test_when_the_one_fails_the_next_asks():
    sender = SlowInLoops(fails_first=True)
    told = await asyncio.gather(*(sender.driver.run(sender.wish()) for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in told].count(XinferenceServerError) == 1
    assert sender.asked == 2
    failing = Slow(fails_first=True)
    with pytest.raises(XinferenceServerError):
        failing.sync.run(failing.wish())


async def test_a_task_that_is_cancelled_leaves_the_others_their_answer():
    sender = SlowInLoops()
    first, second = (asyncio.ensure_future(sender.driver.run(sender.wish())) for _ in range(2))
    await asyncio.sleep(0.005)
    first.cancel()
    assert (await second).type == "LLM"
    assert sender.asked == 1  # the first was cancelled before it was answered
