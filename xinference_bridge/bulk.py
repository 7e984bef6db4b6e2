"""Many texts → batches → vectors in order, several requests in flight, a bounded window. Knows no HTTP."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
            with _naming(batch):
                result = send(batch.texts)
            yield batch, result
        return
    with ThreadPoolExecutor(concurrency, thread_name_prefix="xinference-embed") as pool:
        window: deque[tuple[Batch, Future[Result]]] = deque()
        try:
            for batch in _chained(ahead, todo):
                window.append((batch, pool.submit(send, batch.texts)))
                if len(window) >= concurrency:
                    first, future = window.popleft()
                    with _naming(first):
                        result = future.result()
                    yield first, result
            while window:
                first, future = window.popleft()
                with _naming(first):
                    result = future.result()
                yield first, result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


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
                first, future = window.popleft()
                with _naming(first):
                    result = await future
                yield first, result
        while window:
            first, future = window.popleft()
            with _naming(first):
                result = await future
            yield first, result
    finally:
        for _, future in window:
            future.cancel()
        await asyncio.gather(*(future for _, future in window), return_exceptions=True)


def _chained(ahead: list[Batch], todo: Iterator[Batch]) -> Iterator[Batch]:
    yield from ahead
    yield from todo


class _naming:  # noqa: N801 - a context manager, read as a word
    """Adds to an error which inputs it leaves without an answer."""

    __slots__ = ("_batch",)

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, XinferenceError):
            first, last = self._batch.start, self._batch.start + len(self._batch.texts) - 1
            error.message += f" (inputs {first} to {last} and those after them were not embedded)"
            error.args = (error.message,)
