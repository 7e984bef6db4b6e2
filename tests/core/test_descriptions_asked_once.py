"""A model's description is asked once, however many want it at the same moment."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from xinference_bridge import XinferenceConnection
from xinference_bridge.errors import XinferenceServerError
from xinference_bridge.running_models import RunningModels
from xinference_bridge.wire import Response


class Slow:
    """Stands for the sender: answers each description after a moment, or fails the first time."""

    connection = XinferenceConnection("http://example.org")

    def __init__(self, *, fails_first: bool = False) -> None:
        self.asked = 0
        self.fails_first = fails_first

    def answer(self) -> Response:
        self.asked += 1
        if self.fails_first and self.asked == 1:
            raise XinferenceServerError("not now")
        return Response(200, b'{"id": "m", "model_type": "LLM"}', {})

    def send(self, request, options=None):
        time.sleep(0.02)
        return self.answer()

    async def asend(self, request, options=None):
        await asyncio.sleep(0.02)
        return self.answer()


def test_of_many_threads_one_asks():
    sender = Slow()
    running = RunningModels(sender)  # type: ignore[arg-type]
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda _: running.describe("m"), range(64)))
    assert sender.asked == 1
    assert all(model is told[0] for model in told)


async def test_of_many_tasks_one_asks():
    sender = Slow()
    running = RunningModels(sender)  # type: ignore[arg-type]
    told = await asyncio.gather(*(running.adescribe("m") for _ in range(64)))
    assert sender.asked == 1
    assert all(model is told[0] for model in told)


def test_one_event_loop_after_another_may_ask():
    running = RunningModels(Slow())  # type: ignore[arg-type]
    for uid in "ab":
        assert asyncio.run(running.adescribe(uid)).type == "LLM"


async def test_when_the_one_fails_the_next_asks():
    sender = Slow(fails_first=True)
    running = RunningModels(sender)  # type: ignore[arg-type]
    told = await asyncio.gather(*(running.adescribe("m") for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in told].count(XinferenceServerError) == 1
    assert sender.asked == 2
    with pytest.raises(XinferenceServerError):
        RunningModels(Slow(fails_first=True)).describe("m")  # type: ignore[arg-type]


async def test_a_task_that_is_cancelled_leaves_the_others_their_answer():
    sender = Slow()
    running = RunningModels(sender)  # type: ignore[arg-type]
    first, second = asyncio.ensure_future(running.adescribe("m")), asyncio.ensure_future(running.adescribe("m"))
    await asyncio.sleep(0.005)
    first.cancel()
    assert (await second).type == "LLM"
    assert sender.asked == 1  # the first was cancelled before it was answered
