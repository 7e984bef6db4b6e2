"""Sends 20,000 calls through one connection to a local server, and checks that memory and file descriptors stay flat.

    python benchmarks/soak.py [calls]

Half of the calls are sync from 8 threads, half async, 64 at once. They include streams read to their end, streams
closed early, truncated responses and temporary rate limits. Exits with 1 if memory or descriptors have grown. Python's
memory blocks are measured, because resident memory grows by what the C allocator does not return (about 60 bytes per
call here, while tracemalloc sees the live memory of 6,000 calls change by less than 1 KiB).
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, suppress
from multiprocessing import Pipe, Process
from pathlib import Path
from typing import TYPE_CHECKING

from xinference_bridge.models.chat import ChatHandle

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.core.asks import CALL, PATHS, async_ask, good, healthy, sync_ask
from tests.support.fault_proxy import CLOSE, FaultServer, Script, Seen, fault_server, http
from xinference_bridge import XinferenceConnection, XinferenceConnectionError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

KINDS = ("chat", "stream", "closed stream", "embeddings", "rerank")
WARM_UP = 2_000
ROUNDS = 6
MOST_GROWTH_BLOCKS = 2_000
MOST_GROWTH_KIB = 8 * 1024
PAGE = resource.getpagesize()


def serve(tell: Connection) -> None:
    """Run a server in a separate process, so that its memory is not counted."""
    counted = itertools.count(1)

    def answer(seen: Seen) -> Script | None:
        server.requests.clear()
        one_of_many = next(counted) % 50 == 0
        if seen.path == PATHS["stream"] and b'"stream":true' in seen.body:
            return (good("stream"),)
        if one_of_many and seen.path == PATHS["embeddings"]:
            return (good("embeddings")[:900], CLOSE)
        if one_of_many and seen.path == PATHS["rerank"]:
            return (http(429, b'{"detail":"Rate limit reached"}', retry_after="0"),)
        return None

    with fault_server() as running:
        server: FaultServer = healthy(running)
        server.answer = answer
        tell.send(server.url)
        tell.recv()


def memory_kib() -> int:
    """Return the resident memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE // 1024


def blocks() -> int:
    """Return the number of memory blocks of Python objects."""
    gc.collect()
    return sys.getallocatedblocks()


def descriptors() -> int:
    """Return the number of open file descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def one(connection: XinferenceConnection, number: int) -> None:
    """Make one sync call. The number selects its kind."""
    kind = KINDS[number % len(KINDS)]
    if kind == "closed stream":
        with closing(ChatHandle(connection, "tiny-chat").stream_chat(CALL)) as deltas:
            next(deltas)
        return
    with suppress(XinferenceConnectionError):
        sync_ask(connection, kind)


async def aone(connection: XinferenceConnection, number: int) -> None:
    """Async version of `one`."""
    kind = KINDS[number % len(KINDS)]
    if kind == "closed stream":
        async with aclosing(ChatHandle(connection, "tiny-chat").astream_chat(CALL)) as deltas:
            await anext(deltas)
        return
    with suppress(XinferenceConnectionError):
        await async_ask(connection, kind)


async def awaited(connection: XinferenceConnection, count: int) -> None:
    """Make this many calls from one event loop, 64 at once."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await aone(connection, number)

    await asyncio.gather(*(worker() for _ in range(64)))


def batch(connection: XinferenceConnection, count: int) -> None:
    """Make this many calls, half of them sync."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: one(connection, number), range(count // 2)))
    asyncio.run(awaited(connection, count - count // 2))


def main(calls: int) -> int:
    """Run, print one line per round, and return 1 if anything grew."""
    mine, theirs = Pipe()
    server = Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    connection = XinferenceConnection(mine.recv(), api_key="xf-soak", max_retries=5)
    batch(connection, WARM_UP)
    first, began = (memory_kib(), descriptors(), blocks()), time.perf_counter()
    print(f"after {WARM_UP} calls to warm up: {first[0] / 1024:.1f} MiB, {first[1]} descriptors, {first[2]} blocks")
    now, each = first, (calls - WARM_UP) // ROUNDS
    for number in range(1, ROUNDS + 1):
        batch(connection, each)
        now = memory_kib(), descriptors(), blocks()
        print(f"after {WARM_UP + number * each} calls: {now[0] / 1024:.1f} MiB, {now[1]} descriptors, {now[2]} blocks")
    seconds = time.perf_counter() - began
    grown = now[0] - first[0]
    more = now[2] - first[2]
    print(
        f"{ROUNDS * each / seconds:.0f} calls a second; "
        f"{grown:+} KiB, {now[1] - first[1]:+} descriptors, {more:+} blocks"
    )
    connection.close()
    mine.send(None)
    server.join()
    flat = more <= MOST_GROWTH_BLOCKS and grown <= MOST_GROWTH_KIB and now[1] <= first[1] + 2
    print("flat" if flat else "NOT FLAT")
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
