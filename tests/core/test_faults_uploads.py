"""Uploads that the server does not read, slow tunnels, and requests that must not be sent twice. Sync and async."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import suppress
from typing import Any

import pytest

from tests.core.asks import MODES, PATHS, ask, async_ask, check_good, connection_to, good, sync_ask
from tests.core.test_faults_attacks import MANY, OK, bytes_of, trickle
from tests.support.fault_proxy import CLOSE, RESET, STALL, FaultServer
from xinference_bridge import XinferenceConnectionError, XinferenceTimeoutError
from xinference_bridge.models.embedding import EmbeddingHandle

pytestmark = [pytest.mark.fault_server, pytest.mark.parametrize("mode", MODES)]


def slow_reader(seconds: float) -> tuple[socket.socket, str]:
    """Yield the URL of a server that accepts a connection, waits, then reads a request and answers."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that an upload waits for its reader
    listener.bind(("127.0.0.1", 0))
    listener.listen(8)

    def serve() -> None:
        with suppress(OSError):
            sock, _ = listener.accept()
            with sock:
                time.sleep(seconds)
                held = b""
                while b"\r\n\r\n" not in held:
                    held += sock.recv(65536)
                head, _, body = held.partition(b"\r\n\r\n")
                left = int(head.lower().partition(b"content-length:")[2].split()[0]) - len(body)
                while left > 0:
                    left -= len(sock.recv(65536))
                sock.sendall(good("embeddings"))

    threading.Thread(target=serve, daemon=True).start()
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def embed_much(mode: str, url: str, **settings: Any) -> Any:
    texts = ["x" * 4_000_000, "y", "z"]
    with connection_to(url, **settings) as connection:
        handle = EmbeddingHandle(connection, "minilm")
        return handle.embed(texts, {}) if mode == "sync" else asyncio.run(handle.aembed(texts, {}))


@pytest.mark.slow
def test_an_upload_may_take_longer_than_the_connect_timeout(mode: str):
    listener, url = slow_reader(0.6)
    with listener:
        check_good("embeddings", embed_much(mode, url, connect_timeout=0.3, timeout=8.0))


@pytest.mark.slow
def test_an_upload_that_nobody_reads_ends_at_the_timeout(mode: str):
    listener, url = slow_reader(3.0)
    with listener:
        began = time.monotonic()
        with pytest.raises(XinferenceTimeoutError):
            embed_much(mode, url, connect_timeout=8.0, timeout=0.3)
        assert time.monotonic() - began < 2.5


@pytest.mark.slow
def test_a_deadline_ends_an_upload_that_nobody_reads(mode: str):
    listener, url = slow_reader(3.0)
    with listener:
        began = time.monotonic()
        with pytest.raises(XinferenceTimeoutError, match="deadline"):
            embed_much(mode, url, deadline=0.3)
        assert time.monotonic() - began < 2.5


@pytest.mark.slow
def test_a_deadline_ends_a_tls_handshake_that_nobody_answers(server: FaultServer, mode: str):
    listener, url = slow_reader(3.0)
    with listener:
        began = time.monotonic()
        with pytest.raises(XinferenceTimeoutError):
            ask(mode, connection_to(url.replace("http:", "https:"), deadline=0.3), "embeddings")
        assert time.monotonic() - began < 2.5


def trickling_handshake() -> tuple[socket.socket, str]:
    """A server whose TLS record never ends: one byte every 20 ms. Its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(b"\x16\x03\x03\x40\x00\x02")  # a handshake record of 16 kB, with a ServerHello
                for _ in range(400):
                    sock.sendall(b"\x00")
                    time.sleep(0.02)

    threading.Thread(target=serve, daemon=True).start()
    return listener, f"https://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"deadline": 0.3}, {"connect_timeout": 0.3, "max_retries": 0}], ids=str)
def test_a_tls_handshake_that_trickles_is_bounded(server: FaultServer, mode: str, settings: dict[str, Any]):
    listener, url = trickling_handshake()
    with listener:
        began = time.monotonic()
        with pytest.raises(XinferenceTimeoutError):
            ask(mode, connection_to(url, **settings), "embeddings")
        assert time.monotonic() - began < 2.5


TUNNELS = {
    "silence": (STALL,),
    "a byte at a time": trickle(*bytes_of(b"HTTP/1.1 200 " + b"O" * MANY)),
    "headers without end": (OK, *trickle(*(b"x-%d: y\r\n" % at for at in range(MANY)))),
}


@pytest.mark.slow
@pytest.mark.parametrize("script", TUNNELS.values(), ids=TUNNELS)
def test_a_deadline_ends_a_proxys_answer_that_trickles(server: FaultServer, mode: str, script):
    server.on("far.example:443", script)
    began = time.monotonic()
    with pytest.raises(XinferenceTimeoutError):
        ask(mode, connection_to("https://far.example", proxy=server.url, deadline=0.3), "embeddings")
    assert time.monotonic() - began < 1.7


@pytest.mark.slow
@pytest.mark.parametrize("reused", [True, False])
@pytest.mark.parametrize("ends", [CLOSE, RESET])
def test_a_request_that_the_server_read_is_not_sent_again(server: FaultServer, mode: str, ends, reused: bool):
    path = PATHS["embeddings"]
    server.on(path, *([good("embeddings")] if reused else []), (1.1, ends))
    times = 2 if reused else 1

    async def run() -> None:
        async with connection_to(server) as connection:
            if reused:
                await async_ask(connection, "embeddings")
            with pytest.raises(XinferenceConnectionError):
                await async_ask(connection, "embeddings")

    if mode == "async":
        asyncio.run(run())
    else:
        with connection_to(server) as connection:
            if reused:
                sync_ask(connection, "embeddings")
            with pytest.raises(XinferenceConnectionError):
                sync_ask(connection, "embeddings")
    assert len(server.seen(path)) == times
    assert server.connections == 1
