"""Many texts in batches: in order, with a limit on concurrent requests, fewer while the server is overloaded."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from tests.core.asks import MODES, PATHS, connection_to, good
from tests.support.fault_proxy import FaultServer, http
from xinference_bridge import XinferenceConnectionError, XinferenceRateLimitError
from xinference_bridge.client.adaptive_limit import AdaptiveLimit, report_overload
from xinference_bridge.models import batching
from xinference_bridge.models.batching import Batch, arun_batches_in_order, batches_of, run_batches_in_order
from xinference_bridge.models.embedding import EmbeddingHandle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OVERLOAD = XinferenceRateLimitError("slow down", status_code=429)


def embedded(
    mode: str,
    answer: Callable[[int], object],
    count: int,
    concurrency: int,
    seen: Callable[[int], None] = lambda _: None,
) -> list[object]:
    """Return the results of `count` batches of one text. `answer` gets their number, and `seen` each result."""

    def counted(given: list[object], result: object) -> None:
        given.append(result)
        seen(len(given))

    batches = batches_of(map(str, range(count)), size=1)
    given: list[object] = []
    if mode == "sync":
        for _, result in run_batches_in_order(lambda batch: answer(int(batch.texts[0])), batches, concurrency):
            counted(given, result)
        return given

    async def asked(batch: Batch) -> object:
        await asyncio.sleep(0)
        return answer(int(batch.texts[0]))

    async def all_of_them() -> None:
        async for _, result in arun_batches_in_order(asked, batches, concurrency):
            counted(given, result)

    asyncio.run(all_of_them())
    return given


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
@pytest.mark.parametrize("concurrency", [1, 2, 7])
def test_the_order_is_that_of_the_texts(mode: str, count: int, concurrency: int):
    assert embedded(mode, lambda number: number, count, concurrency) == list(range(count))


@pytest.mark.parametrize("mode", MODES)
def test_a_failure_is_told_before_the_answers_that_wait_for_it_are_all_in(mode: str):
    asked = []

    def answer(number: int) -> int:
        asked.append(number)
        if number == 5:
            raise XinferenceConnectionError("hung up")
        return number

    with pytest.raises(XinferenceConnectionError, match=r"inputs 5 to 5 and .* were not embedded"):
        embedded(mode, answer, 1000, 3)
    assert len(asked) < 20


def test_no_more_texts_are_read_than_twice_the_requests_in_flight():
    read = 0

    def texts() -> Iterator[str]:
        nonlocal read
        for number in range(200):
            read += 1
            yield str(number)

    given = 0
    for _ in run_batches_in_order(lambda batch: batch, batches_of(texts(), size=1), concurrency=3):
        given += 1
        assert read - given <= 2 * 3 + 2  # the window, and what the batcher holds
    assert given == 200


def test_no_more_texts_are_read_awaited():
    read = 0

    def texts() -> Iterator[str]:
        nonlocal read
        for number in range(200):
            read += 1
            yield str(number)

    async def send(batch: Batch) -> Batch:
        await asyncio.sleep(0)
        return batch

    async def main() -> int:
        given = 0
        async for _ in arun_batches_in_order(send, batches_of(texts(), size=1), concurrency=3):
            given += 1
            assert read - given <= 2 * 3 + 2
        return given

    assert asyncio.run(main()) == 200


def test_one_slow_batch_does_not_keep_the_others_from_being_sent():
    release, later = threading.Event(), threading.Semaphore(0)

    def send(batch: Batch) -> str:
        if batch.texts == ["0"]:
            assert release.wait(10)
        else:
            later.release()
        return batch.texts[0]

    answers = run_batches_in_order(send, batches_of(map(str, range(9)), size=1), concurrency=2)
    given: list[str] = []
    taker = threading.Thread(target=lambda: given.extend(result for _, result in answers))
    taker.start()
    for _ in range(3):  # with the slow one they fill the window of twice two
        assert later.acquire(timeout=10)
    assert given == []
    release.set()
    taker.join(10)
    assert given == [str(number) for number in range(9)]


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_refuses_one_request_is_asked_by_half_as_many(
    server: FaultServer, mode: str, monkeypatch: pytest.MonkeyPatch
):
    allowed = []

    class Watched(AdaptiveLimit):
        def _slow_down(self, seen: int) -> int:
            halvings = super()._slow_down(seen)
            allowed.append(self.allowed)
            return halvings

    monkeypatch.setattr(batching, "AdaptiveLimit", Watched)
    server.on(PATHS["embeddings"], http(429, b'{"detail":"Rate limit reached"}'), good("embeddings"))
    model = EmbeddingHandle(connection_to(server, max_retries=2), "minilm")
    texts = [["a cat", "a dog", "a ship"][number % 3] for number in range(30)]

    async def awaited() -> list[int]:
        async def send(batch: Batch) -> int:
            return len((await model.aembed(batch.texts, {})).vectors)

        return [answer async for _, answer in arun_batches_in_order(send, batches_of(texts, size=3), concurrency=4)]

    if mode == "sync":
        answers = run_batches_in_order(
            lambda batch: len(model.embed(batch.texts, {}).vectors), batches_of(texts, size=3), concurrency=4
        )
        counts = [answer for _, answer in answers]
    else:
        counts = asyncio.run(awaited())
    assert counts == [3] * 10
    assert len(server.seen(PATHS["embeddings"])) == 11
    assert allowed == [2]


def test_a_pace_is_halved_once_by_those_who_were_refused_together():
    pace = AdaptiveLimit(8)
    refuse, refused = threading.Barrier(8), threading.Barrier(8)

    def one() -> None:
        with pace.turn():
            refuse.wait(10)
            report_overload(OVERLOAD)
            refused.wait(10)

    callers = [threading.Thread(target=one) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(10)
    # Halved once; then eight answers made two rounds, of four and of five, and the second is not full.
    assert pace.allowed == 5


def test_a_pace_is_halved_down_to_one_by_a_call_that_is_refused_again_and_again():
    pace = AdaptiveLimit(8)
    with pace.turn():
        for expected in (4, 2, 1, 1):
            report_overload(OVERLOAD)
            assert pace.allowed == expected


def test_a_pace_creeps_up_by_one_a_round_to_where_it_began():
    pace = AdaptiveLimit(4)
    with pace.turn():
        report_overload(OVERLOAD)
        report_overload(OVERLOAD)
    allowed = []
    for _ in range(12):
        allowed.append(pace.allowed)
        with pace.turn():
            pass
    assert allowed == [2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4]


def test_other_failures_do_not_change_the_pace_nor_do_calls_outside_of_a_job():
    pace = AdaptiveLimit(4)
    with pace.turn():
        report_overload(XinferenceConnectionError("hung up"))
    report_overload(OVERLOAD)
    assert pace.allowed == 4
