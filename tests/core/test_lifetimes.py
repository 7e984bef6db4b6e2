"""One object works in threads, event loops, forks and spawned workers, and leaves nothing behind.

Each scene runs in a process of its own under `-X dev` with warnings as errors: a socket that nobody closed, or a
loop that was closed too early, would speak on its error output.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import textwrap
from functools import lru_cache
from pathlib import Path

import pytest

from tests.core.asks import PATHS, good
from tests.support.fault_proxy import FaultServer
from tests.support.fresh_process import Ended, FreshProcesses

pytestmark = pytest.mark.fault_server
ROOT = Path(__file__).parent.parent.parent

IMPORTS = """
    import aiohttp, asyncio, copy, gc, logging, multiprocessing, os, pickle, sys, threading
    from concurrent.futures import ThreadPoolExecutor
    from tests.core.asks import ASKS, async_ask, check_good, sync_ask
    from xinference_bridge import XinferenceConnection

    def sockets():
        gc.collect()
        found = 0
        for fd in os.listdir("/proc/self/fd"):
            try:
                found += os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
            except OSError:
                pass
        return found

    def once(connection, what="embeddings"):
        check_good(what, sync_ask(connection, what))

    async def aonce(connection, what="embeddings"):
        check_good(what, await async_ask(connection, what))

    # In debug mode asyncio warns of whatever took a tenth of a second: on a busy machine, anything.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
"""
CONNECTION = """
    url = sys.argv[1]
    connection = XinferenceConnection(url, api_key="xf-key", max_retries=0)
"""

SCENES = {
    "64 threads, a copy, and again after closing": """
        with ThreadPoolExecutor(64) as pool:
            for future in [pool.submit(once, connection, what) for what in ASKS * 32]:
                future.result()
        connection.close()
        assert sockets() == 0, sockets()
        twin = copy.deepcopy(connection)
        once(twin)
        asyncio.run(aonce(twin))
        with connection:
            once(connection)
        assert sockets() == 0, sockets()
    """,
    "50 event loops, one after the other": """
        for number in range(50):
            asyncio.run(aonce(connection, "embeddings" if number % 10 else ASKS[number // 10 % len(ASKS)]))
            assert number % 10 or sockets() == 0, sockets()
    """,
    "16 event loops at once": """
        def run(number):
            for _ in range(3):
                asyncio.run(aonce(connection, ASKS[number % len(ASKS)]))
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(run, range(16)))
        assert sockets() == 0, sockets()
    """,
    "two event loops in turn, then a sync call": """
        loops = [asyncio.new_event_loop() for _ in range(2)]
        for _ in range(3):
            for loop in loops:
                loop.run_until_complete(aonce(connection))
            once(connection)
        for loop in loops:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
        connection.close()
        assert sockets() == 0, sockets()
    """,
    "event loops that are closed without a goodbye": """
        for _ in range(5):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(aonce(connection))
            loop.close()
        connection.close()
        assert sockets() == 0, sockets()
    """,
    "sync calls inside a running loop": """
        async def run():
            once(connection)
            await aonce(connection)
            once(connection)
            await connection.aclose()
        asyncio.run(run())
        assert sockets() == 0, sockets()
    """,
    "closed by one thread while another's loop has idle connections": """
        opened, closed = threading.Event(), threading.Event()
        async def run():
            await aonce(connection)
            opened.set()
            await asyncio.to_thread(closed.wait)
            await aonce(connection)
        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        opened.wait()
        connection.close()
        closed.set()
        thread.join()
        assert sockets() == 0, sockets()
    """,
    "never closed": """
        once(connection)
        once(connection.derive(timeout=5))
        asyncio.run(aonce(connection))
    """,
    "a stream abandoned amid its text": """
        from tests.core.asks import CALL
        from xinference_bridge.models.chat import ChatHandle
        for _ in range(10):
            for delta in ChatHandle(connection, "tiny-chat").stream_chat(CALL):
                if delta.text:
                    break
        async def run():
            async for delta in ChatHandle(connection, "tiny-chat").astream_chat(CALL):
                if delta.text:
                    break
        for _ in range(10):
            asyncio.run(run())
        connection.close()
        assert sockets() == 0, sockets()
    """,
    "a task cancelled amid a stream": """
        from tests.core.asks import CALL
        from xinference_bridge.models.chat import ChatHandle
        async def read(begun):
            async for delta in ChatHandle(connection, "tiny-chat").astream_chat(CALL):
                if delta.text:
                    begun.set()
                    await asyncio.sleep(60)
        async def run():
            for _ in range(5):
                begun = asyncio.Event()
                task = asyncio.create_task(read(begun))
                await begun.wait()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            assert not connection.client._async._pools[asyncio.get_running_loop()].in_use()
        asyncio.run(run())
        assert sockets() == 0, sockets()
    """,
    "after a fork": """
        once(connection)
        asyncio.run(aonce(connection))
        child = os.fork()
        if not child:
            assert sockets() == 0, sockets()  # the copies of the parent's idle ones are closed
            once(connection, "chat")
            asyncio.run(aonce(connection))
            connection.close()
            assert sockets() == 0, sockets()
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        once(connection)
        connection.close()
        assert sockets() == 0, sockets()
    """,
    "forked inside a running loop": """
        async def run():
            await aonce(connection)
            child = os.fork()
            if not child:
                once(connection)
                connection.close()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            await aonce(connection)
            await connection.aclose()
        asyncio.run(run())
        assert sockets() == 0, sockets()
    """,
    "forked while a thread is amid a call": """
        once(connection)  # before the fork: Python itself hangs when a module is being imported at that moment
        stop = threading.Event()
        def busy():
            while not stop.is_set():
                once(connection)
        threads = [threading.Thread(target=busy) for _ in range(4)]
        for thread in threads:
            thread.start()
        ends = []
        for _ in range(5):
            child = os.fork()
            if not child:
                status = 1
                try:
                    once(connection, "rerank")
                    status = 0
                finally:
                    os._exit(status)
            ends.append(os.waitpid(child, 0)[1])
        stop.set()
        assert ends == [0] * 5, ends
        for thread in threads:
            thread.join()
        connection.close()
    """,
}


@lru_cache
def processes() -> FreshProcesses:
    # A fork of a process with threads is what some of these scenes are about.
    fresh = FreshProcesses(textwrap.dedent(IMPORTS), "-W", "ignore:This process:DeprecationWarning")
    atexit.register(fresh.close)
    return fresh


def run(script: str, server: FaultServer) -> Ended:
    """Run one scene, in a process that has imported the package and opened nothing."""
    return processes().run(textwrap.dedent(CONNECTION) + textwrap.dedent(script), server.url)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCENES.values(), ids=SCENES)
def test_nothing_is_left_and_nothing_complains(server: FaultServer, script: str):
    server.answer = lambda seen: (
        (good("stream"),) if seen.path == PATHS["stream"] and b'"stream":true' in seen.body else None
    )
    done = run(script, server)
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.slow
def test_pickled_into_a_spawned_process_it_answers(server: FaultServer, tmp_path: Path):
    (tmp_path / "spawning.py").write_text(
        textwrap.dedent(IMPORTS + CONNECTION.replace("sys.argv[1]", "os.environ['URL']"))
        + textwrap.dedent(
            """
            def work(given):
                once(given)
                asyncio.run(aonce(given))
                given.close()
                return given.api_key.get_secret_value(), sockets()

            if __name__ == "__main__":
                once(connection)
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    key, left = pool.apply(work, (connection,))
                assert key == "xf-key"
                connection.close()
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", str(tmp_path / "spawning.py")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={"URL": server.url, "PYTHONPATH": str(ROOT), "PATH": ""},
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
