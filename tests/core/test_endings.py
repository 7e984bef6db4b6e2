"""Shutdown under difficult conditions: no deadlock, no wait at Ctrl-C, no open socket and no warning."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from langchain_xinference_bridge import XinferenceLLM
from tests.core.asks import CALL, MODES, PATHS, async_ask, check_good, connection_to, good, sync_ask
from tests.support.fault_proxy import STALL, FaultServer, http
from xinference_bridge import XinferenceConfigurationError, XinferenceServerError, XinferenceTimeoutError
from xinference_bridge.connection_settings import CallOptions
from xinference_bridge.models.chat import ChatHandle

pytestmark = pytest.mark.fault_server
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def streaming(server: FaultServer) -> FaultServer:
    """A server that streams if a stream is requested."""
    server.answer = lambda seen: (
        (good("stream"),) if seen.path == PATHS["stream"] and b'"stream":true' in seen.body else None
    )
    return server


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("limit", [1, 2])
def test_a_call_within_the_streams_that_hold_every_place_is_refused_at_once(
    streaming: FaultServer, mode: str, limit: int
):
    connection = connection_to(streaming, max_concurrency=limit, timeout=None)
    handle = ChatHandle(connection, "tiny-chat")
    if mode == "sync":
        streams = [handle.stream_chat(CALL) for _ in range(limit)]
        for stream in streams:
            next(stream)
        with pytest.raises(XinferenceConfigurationError, match=f"max_concurrency={limit}"):
            sync_ask(connection, "embeddings")
        streams[0].close()
        check_good("embeddings", sync_ask(connection, "embeddings"))
        for stream in streams:
            stream.close()
        return

    async def run() -> None:
        async with connection:
            streams = [handle.astream_chat(CALL) for _ in range(limit)]
            for stream in streams:
                await anext(stream)
            with pytest.raises(XinferenceConfigurationError, match=f"max_concurrency={limit}"):
                await async_ask(connection, "embeddings")
            await streams[0].aclose()
            check_good("embeddings", await async_ask(connection, "embeddings"))
            for stream in streams:
                await stream.aclose()

    asyncio.run(run())


@pytest.mark.parametrize("mode", MODES)
def test_another_thread_or_task_waits_for_its_place(streaming: FaultServer, mode: str):
    connection = connection_to(streaming, max_concurrency=1)
    handle = ChatHandle(connection, "tiny-chat")
    if mode == "sync":
        answers: list[object] = []
        with closing(handle.stream_chat(CALL)) as stream:
            next(stream)
            other = threading.Thread(target=lambda: answers.append(sync_ask(connection, "embeddings")))
            other.start()
            assert not answers
        other.join(10)
        check_good("embeddings", answers[0])
        return

    async def run() -> None:
        async with connection:
            async with aclosing(handle.astream_chat(CALL)) as stream:
                await anext(stream)
                other = asyncio.create_task(async_ask(connection, "embeddings"))
                await asyncio.sleep(0.02)
                assert not other.done()
            check_good("embeddings", await other)

    asyncio.run(run())


@pytest.mark.parametrize("mode", MODES)
def test_a_thread_or_task_that_the_streams_reader_waits_for_is_told_so_after_its_timeout(
    streaming: FaultServer, mode: str
):
    connection = connection_to(streaming, max_concurrency=1)
    handle = ChatHandle(connection, "tiny-chat")
    short = CallOptions(timeout=0.2)
    refused = pytest.raises(XinferenceTimeoutError, match=r"max_concurrency=1.*started")
    if mode == "sync":
        with ThreadPoolExecutor(1) as pool, closing(handle.stream_chat(CALL)) as stream:
            next(stream)
            context = contextvars.copy_context()
            with refused:
                pool.submit(context.run, sync_ask, connection, "embeddings", None, short).result(10)
        check_good("embeddings", sync_ask(connection, "embeddings"))
        return

    async def run() -> None:
        async with connection:
            async with aclosing(handle.astream_chat(CALL)) as stream:
                await anext(stream)
                with refused:
                    await asyncio.gather(async_ask(connection, "embeddings", None, short))
            check_good("embeddings", await async_ask(connection, "embeddings"))

    asyncio.run(run())


LISTENING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""A test run in the background of a shell ignores Ctrl-C, and its children would inherit that."""
BULK = """
import sys
from langchain_xinference_bridge import XinferenceEmbeddings, XinferenceLLM
url, what = sys.argv[1:]
if what == "embeddings":
    call = XinferenceEmbeddings(url, "minilm", batch_size=1, timeout=30).embed_documents
else:
    call = XinferenceLLM(url, "tiny-chat", timeout=30).generate
print("begun", flush=True)
call(["a", "b", "c", "d"])
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are another matter there")
@pytest.mark.parametrize(
    "what",
    ["embeddings", "completions", "command"],
)
def test_ctrl_c_amid_requests_that_hang_ends_the_program(server: FaultServer, what: str, tmp_path: Path):
    path = "/v1/completions" if what == "completions" else PATHS["embeddings"]
    server.on(path, (STALL,))
    command = [sys.executable, "-c", LISTENING + BULK, server.url, what]
    if what == "command":
        (tmp_path / "texts.txt").write_text("a\nb\nc\nd\n")
        program = LISTENING + "from xinference_bridge.cli import main; main()"
        command = [sys.executable, "-c", program, "embed", "--server-url", server.url, "minilm"]
        command += [str(tmp_path / "texts.txt"), "--out", str(tmp_path / "out.jsonl"), "--batch-size", "1"]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert server.wait_for(lambda: len(server.seen(path)) >= 2, 50)
        process.send_signal(signal.SIGINT)
        process.wait(9)  # well before the requests' own timeout of 30 s
        assert process.returncode != 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("mode", MODES)
def test_generate_ends_at_its_first_failure(server: FaultServer, mode: str):
    server.answer = lambda seen: (
        None
        if seen.path != "/v1/completions"
        else (http(500, b'{"detail":"broken"}'),)
        if b'"bad"' in seen.body
        else (STALL,)
    )
    with connection_to(server) as connection:
        model = XinferenceLLM(model="tiny-chat", connection=connection)
        began = time.monotonic()
        prompts = ["slow", "bad", "bad"]
        with pytest.raises(XinferenceServerError, match="broken"):
            _ = model.generate(prompts) if mode == "sync" else asyncio.run(model.agenerate(prompts))
        assert time.monotonic() - began < 5


def test_a_request_that_a_failed_batch_leaves_behind_is_not_retried(server: FaultServer):
    path = "/v1/completions"
    unavailable, broken = http(503, b'{"detail":"busy"}'), http(500, b'{"detail":"broken"}')
    server.answer = lambda seen: (
        None if seen.path != path else (0.2, unavailable) if b'"slow"' in seen.body else (broken,)
    )
    with connection_to(server, max_retries=3) as connection:
        model = XinferenceLLM(model="tiny-chat", connection=connection)
        with pytest.raises(XinferenceServerError, match="broken"):
            model.generate(["slow", "bad"])
        for thread in threading.enumerate():
            if thread.name.startswith("xinference-llm"):
                thread.join(10)
    assert sum(b'"slow"' in seen.body for seen in server.seen(path)) == 1


LEFTOVERS = {
    "close() amid async calls": """
        async def run():
            tasks = [asyncio.create_task(aonce(connection)) for _ in range(20)]
            await asyncio.sleep(0.05)
            connection.close()
            await asyncio.gather(*tasks, return_exceptions=True)
        asyncio.run(run())
    """,
    "aclose() amid async calls": """
        async def run():
            tasks = [asyncio.create_task(aonce(connection)) for _ in range(20)]
            await asyncio.sleep(0.05)
            await connection.aclose()
            await asyncio.gather(*tasks, return_exceptions=True)
        asyncio.run(run())
    """,
    "async calls that fail together": """
        async def run():
            bad = XinferenceConnection(url, api_key="xf-key", max_retries=0, max_response_bytes=10)
            await asyncio.gather(*[aonce(bad) for _ in range(5)], return_exceptions=True)
            try:
                await asyncio.gather(*[aonce(bad) for _ in range(5)])
            except Exception:
                pass
            await asyncio.sleep(0.1)
        asyncio.run(run())
    """,
    "async calls that are left behind": """
        async def run():
            for _ in range(5):
                asyncio.create_task(aonce(connection))
            await asyncio.sleep(0.05)
        asyncio.run(run())
    """,
    "async calls that are cancelled": """
        async def run():
            tasks = [asyncio.create_task(aonce(connection)) for _ in range(5)]
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await aonce(connection)
        asyncio.run(run())
    """,
    "bulk embedding that fails": """
        from langchain_xinference_bridge import XinferenceEmbeddings
        model = XinferenceEmbeddings(model="minilm", connection=connection.derive(max_response_bytes=10), batch_size=1)
        async def run():
            try:
                await model.aembed_documents(["a"] * 20)
            except Exception:
                pass
        asyncio.run(run())
        try:
            model.embed_documents(["a"] * 20)
        except Exception:
            pass
        from xinference_bridge.client.registry import close_all
        close_all()
        import time
        for _ in range(50):  # the requests that were in flight at the failure
            if sockets():
                time.sleep(0.1)
    """,
    "a refused key with callers that wait": """
        async def run():
            wrong = XinferenceConnection(url, api_key="xf-wrong", max_retries=0)
            await asyncio.gather(*[wrong.amodels() for _ in range(5)], return_exceptions=True)
            wrong = XinferenceConnection(url, username="ada", password="wrong", max_retries=0)
            await asyncio.gather(*[wrong.amodels() for _ in range(5)], return_exceptions=True)
        asyncio.run(run())
    """,
    "close() by another thread amid async calls": """
        async def run():
            tasks = [asyncio.create_task(aonce(connection)) for _ in range(20)]
            await asyncio.sleep(0.05)
            await asyncio.to_thread(connection.close)
            await asyncio.gather(*tasks, return_exceptions=True)
        asyncio.run(run())
    """,
    "more connections than clients in a loop": """
        async def run():
            for number in range(12):
                await aonce(XinferenceConnection(url, api_key=f"xf-{number}", max_retries=0))
                if number % 4 == 0:
                    await aonce(connection)
        asyncio.run(run())
    """,
    "more connections than clients of sync callers": """
        for number in range(12):
            once(XinferenceConnection(url, api_key=f"xf-{number}", max_retries=0))
        from xinference_bridge.client.registry import close_all
        close_all()
    """,
    "more connections than clients at once": """
        async def run():
            await asyncio.gather(*[
                aonce(XinferenceConnection(url, api_key=f"xf-{number}", max_retries=0)) for number in range(12)
            ])
        asyncio.run(run())
    """,
}


@pytest.mark.slow
@pytest.mark.parametrize("script", LEFTOVERS.values(), ids=LEFTOVERS)
def test_nothing_is_left_and_nothing_complains(server: FaultServer, script: str):
    from tests.core.test_lifetimes import run

    server.answer = lambda seen: (0.1, good("embeddings")) if seen.path == PATHS["embeddings"] else None
    if "wrong" in script:
        server.on("/v1/models", http(401, b'{"detail":"Invalid"}')).on("/token", http(401, b'{"detail":"Incorrect"}'))
    if "range(12)" in script:
        server.answer = None
    few = "        from xinference_bridge.client import registry\n        registry.MOST_CLIENTS = 8\n"
    done = run(few + script + "\n        assert sockets() == 0, sockets()\n", server)
    assert done.stderr == ""
    assert done.returncode == 0
