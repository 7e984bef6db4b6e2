"""Which requests are retried, how often, and after which wait; a stale connection does not cost a retry."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

import pytest

from tests.core.asks import ASKS, MODES, PATHS, ask, async_ask, check_good, connection_to, good, healthy, sync_ask
from tests.support.fault_proxy import CLOSE, RESET, STALL, FaultServer, fault_server, http, unused_port
from xinference_bridge import (
    XinferenceConnectionError,
    XinferenceModelLoadingError,
    XinferenceServerError,
    XinferenceTimeoutError,
)
from xinference_bridge.connection_settings import CallOptions

pytestmark = [pytest.mark.fault_server, pytest.mark.parametrize("mode", MODES)]
OVERLOAD = http(503, b'{"error":{"message":"overloaded"}}')


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_so_many_retries_are_so_many_more_requests(server: FaultServer, mode: str, retries: int):
    server.on(PATHS["chat"], OVERLOAD)
    with pytest.raises(XinferenceServerError, match="overloaded"):
        ask(mode, connection_to(server, max_retries=retries), "chat")
    assert len(server.seen(PATHS["chat"])) == retries + 1


def test_a_dead_replica_is_outlasted_and_costs_none_of_the_retries(server: FaultServer, mode: str):
    gone = http(500, b'{"detail":"[address=127.0.0.1:1, pid=2] [Errno 111] Connect call failed (\'127.0.0.1\', 3)"}')
    server.on(PATHS["embeddings"], *[gone] * 9, good("embeddings"))
    check_good("embeddings", ask(mode, connection_to(server, max_retries=1), "embeddings"))
    server.on(PATHS["embeddings"], gone)
    with pytest.raises(XinferenceServerError, match="The replica is gone"):
        ask(mode, connection_to(server, max_retries=0), "embeddings")
    assert len(server.seen(PATHS["embeddings"])) == 11


def test_a_call_may_say_otherwise_than_its_connection(server: FaultServer, mode: str):
    server.on(PATHS["chat"], OVERLOAD, OVERLOAD, good("chat"))
    check_good("chat", ask(mode, connection_to(server), "chat", options=CallOptions(max_retries=2)))
    server.on(PATHS["chat"], OVERLOAD)
    with pytest.raises(XinferenceServerError):
        ask(mode, connection_to(server, max_retries=5), "chat", options=CallOptions(max_retries=0))
    assert len(server.seen(PATHS["chat"])) == 4


@pytest.mark.slow
def test_retry_after_is_waited_for(server: FaultServer, mode: str):
    server.on(PATHS["chat"], http(503, b'{"detail":"Model is loading"}', retry_after="0.4"), good("chat"))
    began = time.monotonic()
    check_good("chat", ask(mode, connection_to(server, max_retries=1), "chat"))
    assert time.monotonic() - began >= 0.4


def test_a_retry_after_of_an_hour_is_told_and_not_waited_for(server: FaultServer, mode: str):
    server.on(PATHS["chat"], http(503, b'{"detail":"Model is loading"}', retry_after="3600"))
    with pytest.raises(XinferenceModelLoadingError) as caught:
        ask(mode, connection_to(server, max_retries=3), "chat")
    assert caught.value.retry_after == 3600
    assert len(server.seen(PATHS["chat"])) == 1


def test_no_retry_is_begun_that_the_deadline_would_cut_off(server: FaultServer, mode: str):
    server.on(PATHS["chat"], http(503, b'{"detail":"Model is loading"}', retry_after="30"))
    began = time.monotonic()
    with pytest.raises(XinferenceModelLoadingError):
        ask(mode, connection_to(server, max_retries=3, deadline=5), "chat")
    assert time.monotonic() - began < 4
    assert len(server.seen(PATHS["chat"])) == 1


def test_the_deadline_bounds_a_server_that_is_silent_at_every_try(server: FaultServer, mode: str):
    server.on(PATHS["chat"], (STALL,))
    with pytest.raises(XinferenceTimeoutError, match=r"deadline of 0\.2 s"):
        ask(mode, connection_to(server, max_retries=9, deadline=0.2), "chat")


def test_refused_is_tried_again_until_the_server_is_up(mode: str, monkeypatch):
    port = unused_port()
    with ExitStack() as later:
        up: list[FaultServer] = []

        def come_up(_state) -> float:
            if not up:
                up.append(healthy(later.enter_context(fault_server(port=port))))
            return 0.01

        monkeypatch.setattr("xinference_bridge.client.retry_policy._backoff", come_up)
        check_good("chat", ask(mode, connection_to(f"http://127.0.0.1:{port}", max_retries=2), "chat"))


@pytest.mark.parametrize("what", ASKS)
def test_every_request_carries_an_id_of_its_own(server: FaultServer, mode: str, what: str):
    server.on(PATHS[what], good(what))
    ask(mode, connection_to(server), what)
    ask(mode, connection_to(server), what)
    ids = [request.headers["x-request-id"] for request in server.requests]
    assert len(set(ids)) == len(ids) >= 2


def test_several_calls_use_one_socket(server: FaultServer, mode: str):
    def twice():
        connection = connection_to(server)
        if mode == "sync":
            for what in ("embeddings", "rerank", "chat"):
                sync_ask(connection, what)
            server.on(PATHS["stream"], good("stream"))
            sync_ask(connection, "stream")
            sync_ask(connection, "stream")
            return

        async def run():
            async with connection:
                for what in ("embeddings", "rerank", "chat"):
                    await async_ask(connection, what)
                server.on(PATHS["stream"], good("stream"))
                await async_ask(connection, "stream")
                await async_ask(connection, "stream")

        asyncio.run(run())

    twice()
    assert server.connections == 1


# A stale connection: the server closes what idles for five seconds, just when it is used again.


def ask_twice(mode: str, connection, what: str, between=lambda: None):
    if mode == "sync":
        with connection:
            first = sync_ask(connection, what)
            between()
            return first, sync_ask(connection, what)

    async def run():
        async with connection:
            first = await async_ask(connection, what)
            between()
            return first, await async_ask(connection, what)

    return asyncio.run(run())


@pytest.mark.parametrize("what", ASKS)
@pytest.mark.parametrize("ending", [CLOSE, RESET])
def test_a_connection_closed_while_it_is_used_again_is_replaced_without_a_retry(
    server: FaultServer, mode: str, what: str, ending
):
    server.on(PATHS[what], good(what), (ending,), good(what))
    for result in ask_twice(mode, connection_to(server, max_retries=0), what):
        check_good(what, result)
    assert len(server.seen(PATHS[what])) == 3


@pytest.mark.parametrize("what", ASKS)
def test_a_connection_closed_after_a_pause_is_replaced_without_a_retry(server: FaultServer, mode: str, what: str):
    server.on(PATHS[what], good(what))
    server.idle_seconds = 0.02
    pause = lambda: server.wait_for(lambda: server.open_connections == 0)  # noqa: E731
    for result in ask_twice(mode, connection_to(server, max_retries=0), what, pause):
        check_good(what, result)


def test_a_fresh_connection_that_is_closed_at_once_is_no_stale_one(server: FaultServer, mode: str):
    server.on(PATHS["chat"], (CLOSE,))
    with pytest.raises(XinferenceConnectionError):
        ask(mode, connection_to(server, max_retries=0), "chat")
    assert len(server.seen(PATHS["chat"])) == 1


@pytest.mark.parametrize("what", ASKS)
def test_a_restarted_server_is_asked_anew_without_a_new_object(mode: str, what: str):
    port = unused_port()
    with ExitStack() as first, ExitStack() as second:
        healthy(first.enter_context(fault_server(port=port))).on(PATHS[what], good(what))

        def restart():
            first.close()
            healthy(second.enter_context(fault_server(port=port))).on(PATHS[what], good(what))

        connection = connection_to(f"http://127.0.0.1:{port}")
        for result in ask_twice(mode, connection, what, restart):
            check_good(what, result)
