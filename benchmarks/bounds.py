"""Measurements with absolute limits, not relative to a peer: import and construction, the first token, memory."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks import goals
from benchmarks.goals import Bound
from benchmarks.harness import now
from benchmarks.stub import ROOT
from benchmarks.stub_server import API_KEY
from benchmarks.wire import PROMPT
from langchain_xinference_bridge import ChatXinference
from xinference_bridge import XinferenceConnection

_BUILDS = 200
_PACED = 100

#: The modules of langchain-core that our package uses are imported first, so that only our package is timed.
_IMPORT = """
import importlib, subprocess, sys
from benchmarks.harness import now
listing = "import sys, langchain_xinference_bridge; print(*[n for n in sys.modules if n.startswith('langchain_core')])"
for name in subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout.split():
    importlib.import_module(name)
began = now()
import langchain_xinference_bridge
print(now() - began)
"""

#: Resident memory after each thousand texts, in MB, in a separate process.
_MEMORY = """
import sys
from langchain_xinference_bridge import XinferenceEmbeddings

def resident():
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * 4096 / 1e6

model = XinferenceEmbeddings(model_uid="embed", server_url=sys.argv[1], api_key=sys.argv[2])
texts = (f"document {number}" for number in range(200_000))
for number, vector in enumerate(model.embed_stream(texts), 1):
    assert len(vector) == 1024
    if number % 1_000 == 0:
        print(resident())
"""

#: Resident memory that 20,000 vectors add, in bytes per number, in a process that has embedded before.
_ARRAY_MEMORY = """
import sys
from langchain_xinference_bridge import XinferenceEmbeddings

def resident():
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * 4096

model = XinferenceEmbeddings(model_uid="embed", server_url=sys.argv[1], api_key=sys.argv[2])
model.embed_array(f"document {number}" for number in range(1_000))
before = resident()
vectors = model.embed_array(f"document {number}" for number in range(20_000))
print((resident() - before) / vectors.size)
"""


def measure_bounds(url: str, loop: asyncio.AbstractEventLoop) -> Iterator[tuple[Bound, float]]:
    """Yield each bound with its measured value."""
    connection = XinferenceConnection(server_url=url, api_key=API_KEY)
    yield goals.IMPORT, statistics.median(float(_in_own_process(_IMPORT)) for _ in range(5))
    yield goals.BUILD, _build(url)
    paced = ChatXinference(model_uid=f"paced-{_PACED}", connection=connection)
    yield goals.FIRST_TOKEN, _lateness(paced)
    yield goals.AFIRST_TOKEN, loop.run_until_complete(_alateness(paced))
    yield goals.MEMORY, _memory_growth(url)
    yield goals.ARRAY_MEMORY, float(_in_own_process(_ARRAY_MEMORY, url, API_KEY))
    loop.run_until_complete(connection.aclose())


def _in_own_process(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300).stdout


def _build(url: str) -> float:
    """Return the milliseconds to construct one model. Raise if it opens a socket."""
    opened: list[str] = []
    on = True

    def watch(event: str, _: object) -> None:
        if on and event in {"socket.connect", "socket.getaddrinfo"}:
            opened.append(event)

    sys.addaudithook(watch)
    times = []
    for _ in range(_BUILDS):
        began = now()
        ChatXinference(model_uid="chat-3000", server_url=url, api_key=API_KEY)
        times.append(now() - began)
    on = False
    if opened:
        raise RuntimeError(f"Building a model asked the network: {opened[:3]}")
    return statistics.median(times) * 1000


def _lateness(model: ChatXinference) -> float:
    """Return the median milliseconds until the caller has a piece. Its text is the nanosecond when it was sent."""
    late = [time.monotonic_ns() - int(chunk.text) for chunk in model.stream(PROMPT) if chunk.text]
    return statistics.median(late) / 1e6


async def _alateness(model: ChatXinference) -> float:
    late = [time.monotonic_ns() - int(chunk.text) async for chunk in model.astream(PROMPT) if chunk.text]
    return statistics.median(late) / 1e6


def _memory_growth(url: str) -> float:
    """Return how many megabytes the peak in the second half of 200,000 texts is above that of the first half.

    Peaks are compared, because single samples differ by up to 13 MB, depending on the batches in flight.
    """
    resident = [float(line) for line in _in_own_process(_MEMORY, url, API_KEY).split()]
    half = len(resident) // 2
    return max(resident[half:]) - max(resident[:half])
