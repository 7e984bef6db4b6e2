"""Nothing escapes a recording: threads, event loops and streams, of both transports."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest
import requests
from urllib3.connectionpool import HTTPConnectionPool

from tests.recording.tools import CHAT, post, replaying
from tests.support.lab import REPLAY
from xinference_bridge.testing import SecretInRecordingError, open_recording

STREAM = "".join(f'data: {{"delta": "{word}"}}\r\n\r\n' for word in ("Grüß", "dich,", "世界")) + "data: [DONE]\r\n\r\n"


@pytest.mark.slow
@pytest.mark.fault_server
def test_64_posts_from_16_threads_are_all_recorded_and_none_escapes_the_replay(record, server, tape):
    def sixty_four(url):
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda n: post(url, {"n": n}).json(), range(64)))

    answers = record(sixty_four, server.url)
    assert len(server.seen) == 64
    server.seen.clear()

    with replaying(tape) as recording:
        assert (
            sixty_four(server.url) == answers
        )  # at the address where the server still listens: only the tape holds them back
    assert not recording.unplayed
    assert server.seen == []


@pytest.mark.slow
@pytest.mark.fault_server
def test_equal_requests_from_many_threads_play_each_answer_once(record, server, tape):
    record(lambda: [post(server.url, {"same": True}) for _ in range(64)])
    with replaying(tape) as recording, ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: post(REPLAY.url, {"same": True}), range(64)))
    assert not recording.unplayed
    assert not recording.missed


@pytest.mark.slow
@pytest.mark.fault_server
async def test_64_posts_from_one_event_loop_are_all_recorded_and_none_escapes_the_replay(server, tape, lab_of):
    async def sixty_four():
        async def one(session, n):
            async with session.post(server.url + CHAT, json={"n": n}) as response:
                return await response.json()

        async with aiohttp.ClientSession() as session:
            return await asyncio.gather(*(one(session, n) for n in range(64)))

    with open_recording(tape, lab_of, record=True) as recording:
        answers = await sixty_four()
        recording.keep = True
    server.seen.clear()
    with replaying(tape) as recording:
        assert await sixty_four() == answers
    assert not recording.unplayed
    assert server.seen == []


@pytest.mark.fault_server
def test_a_recording_that_cannot_be_written_leaves_no_patch_behind(record, server, tape):
    plain = HTTPConnectionPool.ConnectionCls
    server.answers[CHAT] = ("application/json", b'{"text": "Bearer qqqqqqqqqqqqqqqqqqqqqqqq"}')
    with pytest.raises(SecretInRecordingError):
        record(post, server.url, {})
    assert HTTPConnectionPool.ConnectionCls is plain
    assert not tape.exists()


@pytest.mark.fault_server
def test_a_stream_is_replayed_to_requests_byte_for_byte(record, server, tape):
    def read(url):
        with requests.post(url + CHAT, json={"stream": True}, stream=True, timeout=10) as response:
            return b"".join(response.raw.stream(7))

    server.answers[CHAT] = ("text/event-stream", STREAM.encode())
    assert record(read, server.url) == STREAM.encode()
    with replaying(tape):
        assert read(REPLAY.url) == STREAM.encode()


@pytest.mark.fault_server
@pytest.mark.parametrize("read", ["iter_any", "iter_chunked"])
async def test_a_stream_is_replayed_to_aiohttp_byte_for_byte(server, tape, lab_of, read):
    async def ask(url):
        async with aiohttp.ClientSession() as session, session.post(url + CHAT, json={"stream": True}) as response:
            pieces = response.content.iter_any() if read == "iter_any" else response.content.iter_chunked(7)
            return b"".join([piece async for piece in pieces])

    server.answers[CHAT] = ("text/event-stream", STREAM.encode())
    with open_recording(tape, lab_of, record=True) as recording:
        assert await ask(server.url) == STREAM.encode()
        recording.keep = True
    with replaying(tape):
        assert await ask(REPLAY.url) == STREAM.encode()
