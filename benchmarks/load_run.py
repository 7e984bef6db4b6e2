"""One run under load, in a separate process: `python -m benchmarks.load_run langchain SECONDS` prints it as JSON.

From 1 to 256 callers stream short answers from the lab's chat model for this many seconds. Each caller sends the next
request as soon as it has its answer. A caller whose stream fails waits until the model is ready, and continues.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypedDict

import orjson
from llama_index.core.base.llms.types import ChatMessage

from langchain_xinference_bridge import ChatXinference
from llamaindex_xinference_bridge import XinferenceLLM
from xinference_bridge import XinferenceConnection, XinferenceError

LEVELS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
WARM_UP_SECONDS = 20.0
UID = "tiny-chat"
QUESTIONS = ("What is the capital of France?", "Hello", "Who are you?", "Write a story about a cat.")
#: Longer than 256 callers wait for each other, and than a server takes to restart.
PATIENCE = 300.0

Ask = Callable[[str], AsyncIterator[str]]


class Stream(TypedDict):
    """One completed stream: its start, the time to the first token and the total time, in seconds."""

    at: float
    callers: int
    first: float
    whole: float


class Failure(TypedDict):
    """One failed stream: the class of its error, and whether text arrived before it."""

    at: float
    kind: str


class Sample(TypedDict):
    """The resources of this process at one time."""

    at: float
    mib: float
    descriptors: int


class LoadRun(TypedDict):
    """The results of one run."""

    bridge: str
    seconds: float
    streams: list[Stream]
    failures: list[Failure]
    wrong: int
    samples: list[Sample]
    before: Sample
    after: Sample


def asking(bridge: str, connection: XinferenceConnection) -> Ask:
    """Return a function that streams text, as users of the framework write it."""
    if bridge == "langchain":
        chat = ChatXinference(model_uid=UID, connection=connection, temperature=0)

        async def ask_langchain(question: str) -> AsyncIterator[str]:
            async for chunk in chat.astream(question):
                yield chunk.text

        return ask_langchain
    llm = XinferenceLLM(UID, connection=connection, temperature=0)

    async def ask_llamaindex(question: str) -> AsyncIterator[str]:
        async for response in await llm.astream_chat([ChatMessage(question)]):
            yield response.delta or ""

    return ask_llamaindex


class Load:
    """The callers of each level, and the outcomes of their streams."""

    def __init__(self, bridge: str, connection: XinferenceConnection) -> None:
        self.connection = connection
        self.ask = asking(bridge, connection)
        self.expected: dict[str, str] = {}
        self.began = time.perf_counter()
        self.streams: list[Stream] = []
        self.failures: list[Failure] = []
        self.samples: list[Sample] = []
        self.wrong: Counter[str] = Counter()

    async def run(self, seconds: float) -> None:
        """Run all levels, each for the same time."""
        self.began = time.perf_counter()
        self.streams, self.failures, self.wrong = [], [], Counter()
        sampling = asyncio.create_task(self._sampling())
        for number, callers in enumerate(LEVELS):
            await self.at(callers, self.began + seconds * (number + 1) / len(LEVELS))
        sampling.cancel()

    async def at(self, callers: int, until: float) -> None:
        """Run this many callers until then. They finish the streams that they have started."""
        await asyncio.gather(*(self._caller(number, callers, until) for number in range(callers)))

    async def learn_the_answers(self) -> None:
        """Record the answer to each question when it is the only request."""
        for question in QUESTIONS:
            self.expected[question] = "".join([text async for text in self.ask(question)])

    async def _caller(self, number: int, callers: int, until: float) -> None:
        for question in itertools.islice(itertools.cycle(QUESTIONS), number % len(QUESTIONS), None):
            if time.perf_counter() >= until:
                return
            try:
                await self._stream(question, callers)
            except XinferenceError as error:
                self.failures.append({"at": self._now(), "kind": type(error).__name__})
                await self.connection.await_until_ready(UID, PATIENCE)

    async def _stream(self, question: str, callers: int) -> None:
        began, first = self._now(), 0.0
        texts: list[str] = []
        async for text in self.ask(question):
            if text and not texts:
                first = self._now() - began
            texts.append(text)
        self.streams.append({"at": began, "callers": callers, "first": first, "whole": self._now() - began})
        if (answer := "".join(texts)) != self.expected[question]:
            self.wrong[answer] += 1

    async def _sampling(self) -> None:
        while True:
            self.samples.append(self.sample())
            await asyncio.sleep(1)

    def sample(self) -> Sample:
        """Return the current resident memory and number of open file descriptors."""
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        return {"at": self._now(), "mib": pages * resource.getpagesize() / 2**20, "descriptors": descriptors}

    def _now(self) -> float:
        return time.perf_counter() - self.began


async def measure(bridge: str, seconds: float) -> LoadRun:
    """Warm up with the maximum number of callers, then run. Memory and descriptors are compared when idle."""
    with XinferenceConnection(timeout=PATIENCE) as connection:
        load = Load(bridge, connection)
        await load.learn_the_answers()
        await load.at(max(LEVELS), time.perf_counter() + WARM_UP_SECONDS)
        before = await _at_rest(load)
        sys.stderr.write("begin\n")  # tells the parent process, which restarts the server halfway
        sys.stderr.flush()
        await load.run(seconds)
        taken = time.perf_counter() - load.began
        after = await _at_rest(load)
    for answer, times in load.wrong.items():
        sys.stderr.write(f"{times} times another answer: {answer!r}\n")
    return {
        "bridge": bridge,
        "seconds": taken,
        "streams": load.streams,
        "failures": load.failures,
        "wrong": load.wrong.total(),
        "samples": load.samples,
        "before": before,
        "after": after,
    }


async def _at_rest(load: Load) -> Sample:
    """Take a sample after idle connections are closed, which the server does after 5 s."""
    await asyncio.sleep(8)
    gc.collect()
    return load.sample()


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(asyncio.run(measure(sys.argv[1], float(sys.argv[2])))))
