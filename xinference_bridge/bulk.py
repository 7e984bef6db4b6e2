"""Many texts → batches → vectors in order, several requests in flight, a bounded window. Knows no HTTP."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from xinference_bridge.errors import XinferenceError

Result = TypeVar("Result")

DEFAULT_BATCH_SIZE = 64
DEFAULT_BATCH_CHARACTERS = 200_000
DEFAULT_CONCURRENCY = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts of one request; `start` is the place of the first among all inputs."""

    start: int
    texts: list[str]


def batches_of(
    texts: Iterable[str], size: int = DEFAULT_BATCH_SIZE, characters: int = DEFAULT_BATCH_CHARACTERS
) -> Iterator[Batch]:
    """Batches of at most `size` texts and about `characters` characters, in order; a longer text stands alone."""
    held: list[str] = []
    length = start = 0
    for text in texts:
        if held and (len(held) == size or length + len(text) > characters):
            yield Batch(start, held)
            start, held, length = start + len(held), [], 0
        held.append(text)
        length += len(text)
    if held:
        yield Batch(start, held)


def in_order(
    send: Callable[[list[str]], Result], batches: Iterable[Batch], concurrency: int = DEFAULT_CONCURRENCY
) -> Generator[tuple[Batch, Result], None, None]:
    """Each batch with its result, in order; at most `concurrency` under way, and no more batches read than that.

    Fails fast: the first failure stops what has not begun, and the error names the inputs that were not answered.
    """
    todo = iter(batches)
    ahead = list(islice(todo, 2))
    if len(ahead) < 2 or concurrency == 1:  # one batch needs no threads
        for batch in _chained(ahead, todo):
            with _naming(batch, batch):
                result = send(batch.texts)
            yield batch, result
        return
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="xinference-embed")
    window: deque[tuple[Batch, Future[Result]]] = deque()
    try:
        for batch in _chained(ahead, todo):
            window.append((batch, pool.submit(send, batch.texts)))
            if len(window) >= concurrency:
                yield _first_of(window)
        while window:
            yield _first_of(window)
    finally:
        # Not waited for: what is under way ends by itself, and nobody wants its answer any more.
        pool.shutdown(wait=False, cancel_futures=True)


def _first_of(window: deque[tuple[Batch, Future[Result]]]) -> tuple[Batch, Result]:
    """The first batch with its result, as soon as it is there or another one has failed."""
    first, future = window[0]
    pending = {waiting for _, waiting in window}
    while not future.done():
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for batch, other in window:
            if other in done and other.exception() is not None:
                with _naming(batch, first):
                    other.result()
    window.popleft()
    with _naming(first, first):
        return first, future.result()


async def ain_order(
    send: Callable[[list[str]], Awaitable[Result]],
    batches: Iterable[Batch],
    concurrency: int = DEFAULT_CONCURRENCY,
) -> AsyncGenerator[tuple[Batch, Result], None]:
    """Same as `in_order`, but awaited."""
    window: deque[tuple[Batch, asyncio.Future[Result]]] = deque()
    try:
        for batch in batches:
            window.append((batch, asyncio.ensure_future(send(batch.texts))))
            if len(window) >= concurrency:
                yield await _afirst_of(window)
        while window:
            yield await _afirst_of(window)
    finally:
        for _, future in window:
            future.cancel()
        await asyncio.gather(*(future for _, future in window), return_exceptions=True)


async def _afirst_of(window: deque[tuple[Batch, asyncio.Future[Result]]]) -> tuple[Batch, Result]:
    """Same as `_first_of`, but awaited."""
    first, future = window[0]
    pending = {waiting for _, waiting in window}
    while not future.done():
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for batch, other in window:
            if other in done and not other.cancelled() and other.exception() is not None:
                with _naming(batch, first):
                    other.result()
    window.popleft()
    with _naming(first, first):
        return first, future.result()


def _chained(ahead: list[Batch], todo: Iterator[Batch]) -> Iterator[Batch]:
    yield from ahead
    yield from todo


class _naming:  # noqa: N801 - a context manager, read as a word
    """Adds to an error which inputs it leaves without an answer."""

    __slots__ = ("_batch", "_first")

    def __init__(self, batch: Batch, first: Batch) -> None:
        self._batch = batch
        self._first = first

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, XinferenceError):
            first, last = self._batch.start, self._batch.start + len(self._batch.texts) - 1
            left = "those after them" if self._first is self._batch else f"all from {self._first.start} on"
            error.message += f" (inputs {first} to {last} and {left} were not embedded)"
            error.args = (error.message,)
