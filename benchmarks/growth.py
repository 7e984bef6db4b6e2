"""Measures how our time and the floor's grow with ten times the work, and the garbage collector's share of it.

Runs in a separate process without the peers' modules, because Python's cyclic garbage collector traverses all objects
of a process whenever enough new ones are alive. `python -m benchmarks.growth URL` prints the results as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from benchmarks import goals
from benchmarks.floors import BareChatModel
from benchmarks.harness import now
from benchmarks.stub import ROOT
from benchmarks.stub_server import API_KEY
from benchmarks.wire import BATCH, PROMPT, TEXTS, Wire, gathered, spent
from langchain_xinference_bridge import ChatXinference, XinferenceEmbeddings
from xinference_bridge import XinferenceConnection
from xinference_bridge.models.chat import ChatHandle
from xinference_bridge.protocol.chat.request import ChatCall

#: Measurements of each work. Each one does the small work five times.
_TURNS = 3

OURS, CORE, FLOOR = "ours", "our core alone", "floor"
WITHOUT = ", no collector"

Work = Callable[[int], object]
"""Does this amount of one kind of work, and returns what a caller would keep."""


def measure_growth(url: str) -> dict[str, dict[str, float]]:
    """Return each contender's ratio for each growth goal, with and without Python's garbage collector."""
    command = [sys.executable, "-m", "benchmarks.growth", url]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600)
    measured: dict[str, dict[str, float]] = orjson.loads(answer.stdout)
    return measured


def _contenders(url: str, loop: asyncio.AbstractEventLoop) -> Iterator[tuple[str, dict[str, Work]]]:
    connection = XinferenceConnection(server_url=url, api_key=API_KEY)
    wire = Wire(url)
    embeddings = XinferenceEmbeddings(model_uid="embed", connection=connection)
    many = TEXTS * 10
    yield (
        goals.TEXTS,
        {
            OURS: lambda size: embeddings.embed_documents(many[:size]),
            FLOOR: lambda size: wire.embed("embed", many[:size], BATCH),
        },
    )
    call = ChatCall([{"role": "user", "content": PROMPT}])
    yield (
        goals.CHUNKS,
        {
            OURS: lambda size: spent(_chat(connection, size).stream(PROMPT)),
            CORE: lambda size: spent(ChatHandle(connection, f"chat-{size}").stream_chat(call)),
            FLOOR: lambda size: spent(BareChatModel(wire=wire, uid=f"chat-{size}").stream(PROMPT)),
        },
    )
    ours, bare = _chat(connection, 1), BareChatModel(wire=wire, uid="chat-1")
    yield (
        goals.CALLERS,
        {
            OURS: lambda size: loop.run_until_complete(gathered(ours, size)),
            FLOOR: lambda size: loop.run_until_complete(gathered(bare, size)),
        },
    )
    loop.run_until_complete(wire.aclose())
    loop.run_until_complete(connection.aclose())


def _chat(connection: XinferenceConnection, chunks: int) -> ChatXinference:
    return ChatXinference(model_uid=f"chat-{chunks}", connection=connection)


def _growth(work: Work, small: int) -> float:
    """Return how many times as long ten times the work takes. Both are warmed up, and measured alternately.

    The result of a run is kept until its turn is over. Otherwise the small run would reuse the memory of the previous
    one, while the large run must get memory from the system, which takes a third of the time for vectors.
    """
    work(small)
    work(10 * small)
    ratios = []
    for _ in range(_TURNS):
        kept: list[Any] = []
        small_time = statistics.median(_timed(work, small, kept) for _ in range(5))
        ratios.append(_timed(work, 10 * small, kept) / small_time)
    return statistics.median(ratios)


def _timed(work: Work, size: int, kept: list[Any]) -> float:
    gc.collect()
    began = now()
    kept.append(work(size))
    return now() - began


def main() -> None:
    """Measure everything and print the results."""
    measured: dict[str, dict[str, float]] = {}
    loop = asyncio.new_event_loop()
    for kind, contenders in _contenders(sys.argv[1], loop):
        for growth in goals.GROWTHS:
            if growth.kind != kind:
                continue
            row = measured[growth.what] = {}
            for name, work in contenders.items():
                row[name] = _growth(work, growth.small)
                gc.disable()
                row[name + WITHOUT] = _growth(work, growth.small)
                gc.enable()
    loop.close()
    print(orjson.dumps(measured).decode())


if __name__ == "__main__":
    main()
