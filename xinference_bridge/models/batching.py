"""Split texts into batches and return their vectors in order, with concurrent requests and bounded memory. No HTTP."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Generic, Protocol, TypeVar

from xinference_bridge.client.adaptive_limit import AdaptiveLimit
from xinference_bridge.errors import XinferenceConfigurationError, XinferenceError
from xinference_bridge.models.daemon_pool import DaemonPool

Result = TypeVar("Result")


class _Future(Protocol):
    """The common interface of thread futures and asyncio futures."""

    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def exception(self) -> BaseException | None: ...
    def result(self) -> Any: ...


AnyFuture = TypeVar("AnyFuture", bound=_Future)

DEFAULT_BATCH_SIZE = 64
DEFAULT_BATCH_CHARACTERS = 200_000
DEFAULT_CONCURRENCY = 4
#: Batches in memory per concurrent request: while one batch is slow, later results can wait for it.
_WINDOWS = 2


@dataclass(frozen=True, slots=True)
class Batch:
    """The texts of one request. `start` is the index of the first among all inputs."""

    start: int
    texts: list[str]


def batches_of(
    texts: Iterable[str],
    size: int = DEFAULT_BATCH_SIZE,
    characters: int = DEFAULT_BATCH_CHARACTERS,
    *,
    prefix: str = "",
) -> Iterator[Batch]:
    """Yield batches of at most `size` texts and about `characters` characters, in order. A longer text is alone.

    Args:
        texts: The texts, read lazily.
        size: Maximum number of texts per batch.
        characters: Approximate number of characters per batch.
        prefix: Prefix of each text: the instruction that some models were trained with.

    Raises:
        XinferenceConfigurationError: It is no list, or one of them is no string; the message names its place. Of a list
            or tuple each is checked before the first batch is given.
    """
    refuse_one(texts, "texts", "strings")
    if isinstance(texts, (list, tuple)):
        for place, text in enumerate(texts):
            _refuse_other(text, place)
    held: list[str] = []
    length = start = 0
    for text in texts:
        _refuse_other(text, start + len(held))
        if held and (len(held) == size or length + len(text) > characters):
            yield Batch(start, held)
            start, held, length = start + len(held), [], 0
        held.append(prefix + text)
        length += len(text)
    if held:
        yield Batch(start, held)


def refuse_one(inputs: object, what: str, kind: str) -> None:
    """Refuse what is no list, generator or other iterable of inputs.

    Args:
        inputs: What was given.
        what: What the inputs are, for the message.
        kind: What each of them must be.

    Raises:
        XinferenceConfigurationError: It is one text, whose letters would be embedded, a mapping, or no iterable.
    """
    if isinstance(inputs, str):
        msg = f"{what} must be a list of {kind}, not one text ({inputs[:40]!r}): give a list with it"
    elif isinstance(inputs, (bytes, bytearray, memoryview, Mapping)) or not isinstance(inputs, Iterable):
        msg = f"{what} must be a list of {kind}, got {type(inputs).__name__}"
    else:
        return
    raise XinferenceConfigurationError(msg)


def _refuse_other(text: object, place: int) -> None:
    if not isinstance(text, str):
        msg = f"text {place} of those to embed must be a string, got {type(text).__name__}: {text!r:.60}"
        raise XinferenceConfigurationError(msg)


def run_batches_in_order(
    send: Callable[[Batch], Result],
    batches: Iterable[Batch],
    concurrency: int = DEFAULT_CONCURRENCY,
    *,
    done: str = "embedded",
) -> Generator[tuple[Batch, Result], None, None]:
    """Yield each batch with its result, in order, with at most `concurrency` requests, fewer under overload.

    Holds at most twice `concurrency` batches: those in flight, and those that wait for an earlier one. Fails
    fast: the first failure cancels pending batches, and the error lists the inputs that were not `done`.
    """
    todo = iter(batches)
    ahead = list(islice(todo, 2))
    if len(ahead) < 2 or concurrency == 1:  # a single batch needs no threads
        for batch in chain(ahead, todo):
            with _naming_inputs(batch, batch, done):
                result = send(batch)
            yield batch, result
        return
    window: _Window[Result, Future[Result]] = _Window(concurrency, done)

    def sent(batch: Batch) -> Result:
        with window.pace.turn():
            return send(batch)

    pool = DaemonPool(concurrency, "xinference-embed")
    try:
        for batch in chain(ahead, todo):
            while not window.has_room():
                wait(window.in_flight(), return_when=FIRST_COMPLETED)
                yield from window.ready()
            window.add(batch, pool.submit(sent, batch))
            yield from window.ready()
        while in_flight := window.in_flight():
            wait(in_flight, return_when=FIRST_COMPLETED)
            yield from window.ready()
        yield from window.ready()
    finally:
        # Requests in flight are not awaited: their results are no longer needed.
        pool.stop()


async def arun_batches_in_order(
    send: Callable[[Batch], Awaitable[Result]],
    batches: Iterable[Batch],
    concurrency: int = DEFAULT_CONCURRENCY,
    *,
    done: str = "embedded",
) -> AsyncGenerator[tuple[Batch, Result], None]:
    """Async version of `run_batches_in_order`."""
    window: _Window[Result, asyncio.Future[Result]] = _Window(concurrency, done)

    async def sent(batch: Batch) -> Result:
        with window.pace.turn():
            return await send(batch)

    try:
        for batch in batches:
            while not window.has_room():
                await asyncio.wait(window.in_flight(), return_when=asyncio.FIRST_COMPLETED)
                for answer in window.ready():
                    yield answer
            window.add(batch, asyncio.ensure_future(sent(batch)))
            for answer in window.ready():
                yield answer
        while in_flight := window.in_flight():
            await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
            for answer in window.ready():
                yield answer
        for answer in window.ready():
            yield answer
    finally:
        left = window.in_flight()
        for future in left:
            future.cancel()
        await asyncio.gather(*left, return_exceptions=True)


class _Window(Generic[Result, AnyFuture]):
    """The batches in flight, and the finished ones that wait for an earlier one."""

    def __init__(self, concurrency: int, done: str) -> None:
        self.pace = AdaptiveLimit(concurrency)
        self._done = done
        self._batches: deque[tuple[Batch, AnyFuture]] = deque()

    def add(self, batch: Batch, future: AnyFuture) -> None:
        """Add a batch that was sent."""
        self._batches.append((batch, future))

    def in_flight(self) -> list[AnyFuture]:
        """Return the batches without a result."""
        return [future for _, future in self._batches if not future.done()]

    def has_room(self) -> bool:
        """Return whether another batch may be sent now."""
        return len(self.in_flight()) < self.pace.allowed and len(self._batches) < _WINDOWS * self.pace.most

    def ready(self) -> Iterator[tuple[Batch, Result]]:
        """Remove and return the results that are next in order. Raise the first failure, in any position."""
        while self._batches:
            for batch, future in self._batches:
                if future.done() and not future.cancelled() and future.exception() is not None:
                    with _naming_inputs(batch, self._batches[0][0], self._done):
                        future.result()
            if not self._batches[0][1].done():
                return
            first, answered = self._batches.popleft()
            yield first, answered.result()


@contextmanager
def _naming_inputs(batch: Batch, first: Batch, done: str) -> Iterator[None]:
    """Add the inputs without a result to an error."""
    try:
        yield
    except XinferenceError as error:
        start, last = batch.start, batch.start + len(batch.texts) - 1
        left = "those after them" if first is batch else f"all from {first.start} on"
        error.with_note(f"(inputs {start} to {last} and {left} were not {done})")
        raise
