"""Many concurrent callers: one login, one refresh, one request with a wrong key, and never more than allowed."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from email.utils import formatdate

import pytest

from tests.core.asks import (
    CALL,
    MODES,
    PATHS,
    async_ask,
    check_good,
    connection_to,
    events_of,
    good,
    head_of,
    recorded,
    sync_ask,
)
from tests.support.fault_proxy import STALL, FaultServer, Script, Seen, http
from xinference_bridge import (
    XinferenceAuthenticationError,
    XinferenceBannedError,
    XinferenceConnection,
    XinferenceTimeoutError,
)
from xinference_bridge.connection_settings import CallOptions
from xinference_bridge.models.chat import ChatHandle

pytestmark = pytest.mark.fault_server
EMBED = PATHS["embeddings"]


class Logins:
    """The server's `/token` and `/v1/auth/refresh`, in the shapes of 4.1.0; the test sets a token's lifetime."""

    def __init__(self, server: FaultServer, life: float = 1800) -> None:
        self.life, self.issued, self.valid, self.refresh = life, 0, set[str](), set[str]()
        self.lock = threading.Lock()
        self.then = server.answer
        server.answer = self.answer

    def answer(self, seen: Seen) -> Script | None:
        with self.lock:
            if seen.path == "/token":
                return (self.pair(),)
            if seen.path == "/v1/auth/refresh":
                spent = json.loads(seen.body)["refresh_token"]
                if spent not in self.refresh:
                    return (http(401, b'{"detail":"Invalid or expired refresh token"}'),)
                self.refresh.remove(spent)
                return (self.pair(),)
            if seen.headers.get("authorization", "").removeprefix("Bearer ") not in self.valid:
                return (recorded("no_credential"),)
        return None

    def pair(self) -> bytes:
        self.issued += 1
        claims = json.dumps({"sub": "ada", "exp": int(time.time() + self.life)}).encode()
        token = f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.{self.issued}"
        self.valid.add(token)
        self.refresh.add(f"refresh-{self.issued}")
        body = {"access_token": token, "refresh_token": f"refresh-{self.issued}", "token_type": "bearer"}
        return http(200, json.dumps(body).encode(), date=formatdate(usegmt=True))


def two_hundred(connection: XinferenceConnection) -> None:
    """Send requests from 100 threads and 100 tasks at once."""

    async def tasks() -> None:
        for result in await asyncio.gather(*(async_ask(connection, "embeddings") for _ in range(100))):
            check_good("embeddings", result)

    with ThreadPoolExecutor(101) as pool:
        loop = pool.submit(lambda: asyncio.run(tasks()))
        for future in [pool.submit(sync_ask, connection, "embeddings") for _ in range(100)]:
            check_good("embeddings", future.result())
        loop.result()


@pytest.mark.slow
def test_200_callers_log_in_once(server: FaultServer):
    Logins(server)
    two_hundred(connection_to(server, username="ada", password="correct"))
    assert len(server.seen("/token")) == 1
    assert len(server.seen(EMBED)) == 200


@pytest.mark.slow
def test_200_callers_whose_token_was_revoked_refresh_once_and_none_fails(server: FaultServer):
    logins = Logins(server)
    connection = connection_to(server, username="ada", password="correct")
    check_good("embeddings", sync_ask(connection, "embeddings"))
    logins.valid.clear()
    two_hundred(connection)
    assert (len(server.seen("/token")), len(server.seen("/v1/auth/refresh"))) == (1, 1)


@pytest.mark.slow
def test_200_callers_while_the_token_runs_out_refresh_once_and_none_is_refused(server: FaultServer):
    logins = Logins(server, life=3)  # renewed when a fifth is left
    connection = connection_to(server, username="ada", password="correct")
    check_good("embeddings", sync_ask(connection, "embeddings"))
    logins.life = 1800
    time.sleep(2.5)
    two_hundred(connection)
    assert (len(server.seen("/token")), len(server.seen("/v1/auth/refresh"))) == (1, 1)


@pytest.mark.slow
def test_a_spent_refresh_token_is_followed_by_one_login(server: FaultServer):
    logins = Logins(server)
    connection = connection_to(server, username="ada", password="correct")
    check_good("embeddings", sync_ask(connection, "embeddings"))
    logins.valid.clear()
    logins.refresh.clear()
    two_hundred(connection)
    assert (len(server.seen("/token")), len(server.seen("/v1/auth/refresh"))) == (2, 1)


@pytest.mark.parametrize("mode", MODES)
def test_64_times_5_calls_with_a_wrong_key_make_one_failing_request(server: FaultServer, mode: str):
    server.on(EMBED, recorded("no_credential")).on("/v1/models", recorded("no_credential"))
    connection = connection_to(server, api_key="xf-wrong", max_retries=3)
    messages = []

    def five() -> None:
        for _ in range(5):
            with pytest.raises(XinferenceAuthenticationError, match="XINFERENCE_API_KEY") as caught:
                sync_ask(connection, "embeddings")
            messages.append(caught.value.message)

    async def five_awaited() -> None:
        for _ in range(5):
            with pytest.raises(XinferenceAuthenticationError, match="XINFERENCE_API_KEY") as caught:
                await async_ask(connection, "embeddings")
            messages.append(caught.value.message)

    async def all_tasks() -> None:
        async with connection:
            await asyncio.gather(*(five_awaited() for _ in range(64)))

    if mode == "sync":
        with ThreadPoolExecutor(64) as pool:
            list(pool.map(lambda _: five(), range(64)))
    else:
        asyncio.run(all_tasks())
    assert len(messages) == 64 * 5
    assert len(server.seen(EMBED)) == 1


def test_a_ban_is_told_at_once_and_the_key_is_not_blamed(server: FaultServer):
    server.on(EMBED, http(429, b'{"detail":"Too many failed attempts. Try again later."}'))
    connection = connection_to(server, api_key="xf-key", max_retries=3)
    with pytest.raises(XinferenceBannedError, match="too many wrong credentials"):
        sync_ask(connection, "embeddings")
    assert len(server.requests) == 1


def test_a_key_given_to_a_server_without_authentication_is_harmless(server: FaultServer):
    check_good("embeddings", sync_ask(connection_to(server, api_key="xf-any"), "embeddings"))


# max_concurrency


class Gauge:
    """Return the maximum number of concurrent requests."""

    def __init__(self, server: FaultServer) -> None:
        self.now = self.most = 0
        self.lock = threading.Lock()
        server.answer = self.answer

    def answer(self, seen: Seen) -> Script:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.01)
        with self.lock:
            self.now -= 1
        return (good("embeddings"),)


@pytest.mark.parametrize("mode", MODES)
def test_no_more_than_max_concurrency_are_in_flight(server: FaultServer, mode: str):
    gauge = Gauge(server)
    connection = connection_to(server, max_concurrency=3)

    async def tasks() -> None:
        async with connection:
            await asyncio.gather(*(async_ask(connection, "embeddings") for _ in range(30)))

    if mode == "sync":
        with ThreadPoolExecutor(30) as pool:
            list(pool.map(lambda _: sync_ask(connection, "embeddings"), range(30)))
    else:
        asyncio.run(tasks())
    assert gauge.most == 3


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_who_waits_for_a_turn_waits_no_longer_than_the_deadline(server: FaultServer, mode: str):
    server.on(EMBED, (STALL,))
    connection = connection_to(server, max_concurrency=1)
    short = CallOptions(deadline=0.2)

    async def run() -> None:
        async with connection:
            slow = asyncio.create_task(async_ask(connection, "embeddings", options=CallOptions(timeout=2)))
            await asyncio.to_thread(server.wait_for, lambda: bool(server.requests))
            with pytest.raises(XinferenceTimeoutError, match="deadline"):
                await async_ask(connection, "embeddings", options=short)
            slow.cancel()
            await asyncio.gather(slow, return_exceptions=True)
            server.on(EMBED, good("embeddings"))
            check_good("embeddings", await async_ask(connection, "embeddings"))  # the slot was released

    if mode == "async":
        asyncio.run(run())
        return
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(sync_ask, connection, "embeddings", None, CallOptions(timeout=0.6))
        server.wait_for(lambda: bool(server.requests))
        with pytest.raises(XinferenceTimeoutError, match="deadline"):
            sync_ask(connection, "embeddings", options=short)
        assert isinstance(slow.exception(), XinferenceTimeoutError)
    server.on(EMBED, good("embeddings"))
    check_good("embeddings", sync_ask(connection, "embeddings"))


# Stopping: the server notices the closed connection immediately, which makes 4.1 abort.


@pytest.fixture
def endless(server: FaultServer) -> FaultServer:
    """A server whose chat stream sends a few words and then stalls."""
    events = events_of(good("stream"))
    return server.on(PATHS["stream"], (head_of(good("stream")), *events[:3], STALL))


def seen_at_once(server: FaultServer, began: float) -> bool:
    return server.wait_for(lambda: bool(server.hang_ups), 2) and server.hang_ups[0] - began < 1


def test_closing_a_stream_hangs_up_at_once(endless: FaultServer):
    connection = connection_to(endless)
    with closing(ChatHandle(connection, "tiny-chat").stream_chat(CALL)) as deltas:
        assert next(deltas).text
        began = time.monotonic()
    assert seen_at_once(endless, began)


def test_abandoning_a_stream_hangs_up_at_once(endless: FaultServer):
    connection = connection_to(endless)
    for delta in ChatHandle(connection, "tiny-chat").stream_chat(CALL):
        if delta.text:
            break
    del delta
    assert seen_at_once(endless, time.monotonic())


def test_an_error_of_the_reader_hangs_up_at_once(endless: FaultServer):
    connection = connection_to(endless)

    def read() -> None:
        with closing(ChatHandle(connection, "tiny-chat").stream_chat(CALL)) as deltas:
            for _ in deltas:
                raise KeyError

    with pytest.raises(KeyError):
        read()
    assert seen_at_once(endless, time.monotonic())


async def test_closing_an_awaited_stream_hangs_up_at_once(endless: FaultServer):
    connection = connection_to(endless)
    async with aclosing(ChatHandle(connection, "tiny-chat").astream_chat(CALL)) as deltas:
        assert (await anext(deltas)).text
    began = time.monotonic()
    assert await asyncio.to_thread(seen_at_once, endless, began)
    await connection.aclose()


@pytest.mark.parametrize("what", ["stream", "chat", "embeddings"])
async def test_cancelling_a_task_hangs_up_at_once(endless: FaultServer, what: str):
    if what != "stream":
        endless.on(PATHS[what], (STALL,))
    connection = connection_to(endless)
    task = asyncio.create_task(async_ask(connection, what))
    await asyncio.to_thread(endless.wait_for, lambda: bool(endless.seen(PATHS[what])))
    await asyncio.sleep(0.05)
    task.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(seen_at_once, endless, began)
    await connection.aclose()


def test_cancelling_one_of_many_leaves_the_others(server: FaultServer):
    async def run() -> None:
        async with connection_to(server, max_concurrency=2) as connection:
            tasks = [asyncio.create_task(async_ask(connection, "embeddings")) for _ in range(40)]
            await asyncio.sleep(0)
            for task in tasks[::3]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for number, result in enumerate(results):
                if number % 3:
                    check_good("embeddings", result)
            check_good("embeddings", await async_ask(connection, "embeddings"))

    asyncio.run(run())
