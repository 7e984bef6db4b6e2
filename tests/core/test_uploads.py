"""Uploads: files are streamed from disk, sent again when a retry is safe, and named when they are invalid."""

from __future__ import annotations

import io
import os
import re
import socket
import threading
import tracemalloc
from contextlib import contextmanager
from typing import Any

import orjson
import pytest

from tests.core.asks import connection_to
from tests.core.media_calls import ENGLISH, MODES, call
from tests.support.fault_proxy import RESET, STALL, http
from xinference_bridge import (
    XinferenceConfigurationError,
    XinferenceConnectionError,
    XinferenceError,
    XinferenceTimeoutError,
)
from xinference_bridge.connection_settings import CallOptions
from xinference_bridge.protocol.multipart import Form, pieces_of

pytestmark = [pytest.mark.fault_server, pytest.mark.parametrize("mode", MODES)]
PATH = "/v1/audio/transcriptions"
HEARD = http(200, orjson.dumps({"text": " Hello."}))
SPARSE = 32 * 2**20


def _file_in(body: bytes) -> bytes:
    """The content of the one file of a form."""
    boundary = body[: body.index(b"\r\n")]
    head, _, rest = body[body.index(b"filename=") :].partition(b"\r\n\r\n")
    assert b"Content-Type: audio/wav" in head
    return rest[: rest.index(b"\r\n" + boundary)]


def test_what_arrives_is_the_file(server, mode):
    server.on(PATH, HEARD)
    assert call(mode, connection_to(server).audio("m"), "transcribe", ENGLISH).text == "Hello."
    [seen] = server.seen(PATH)
    assert _file_in(seen.body) == ENGLISH.read_bytes()
    assert int(seen.headers["content-length"]) == len(seen.body)
    assert "transfer-encoding" not in seen.headers


@contextmanager
def _sink():
    """A server that throws away what it is sent, and then answers."""

    def take() -> None:
        sock, _ = listener.accept()
        with sock:
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(4096)
            found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            assert found is not None
            length = int(found[1])
            left, buffer = length - len(head.partition(b"\r\n\r\n")[2]), bytearray(65536)
            while left > 0 and (taken := sock.recv_into(buffer)):
                left -= taken
            sock.sendall(HEARD)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=take)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.mark.slow
def test_a_large_file_is_never_whole_in_memory(mode, tmp_path):
    large = tmp_path / "large.wav"
    large.write_bytes(ENGLISH.read_bytes())
    os.truncate(large, SPARSE)
    with _sink() as url:
        handle = connection_to(url).audio("m")
        tracemalloc.start()
        try:
            heard = call(mode, handle, "transcribe", large)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert heard.text == "Hello."
    assert peak < SPARSE / 4


def test_a_file_is_sent_again_where_the_server_was_busy(server, mode):
    server.on(PATH, http(503, b'{"detail": "busy"}'), HEARD)
    handle = connection_to(server, max_retries=1).audio("m")
    for file in (ENGLISH, ENGLISH.read_bytes(), io.BytesIO(ENGLISH.read_bytes())):
        server.on(PATH, http(503, b'{"detail": "busy"}'), HEARD)
        assert call(mode, handle, "transcribe", file).text == "Hello."
    assert [_file_in(seen.body) == ENGLISH.read_bytes() for seen in server.seen(PATH)] == [True] * 6


def test_a_file_is_not_sent_again_after_the_server_failed_at_it(server, mode):
    server.on(PATH, http(500, b'{"detail": "out of memory"}'))
    with pytest.raises(XinferenceError):
        call(mode, connection_to(server, max_retries=3).audio("m"), "transcribe", ENGLISH)
    assert len(server.seen(PATH)) == 1


def test_a_file_object_is_read_from_where_it_stands_and_stays_open(server, mode):
    server.on(PATH, HEARD)
    file = io.BytesIO(b"before" + ENGLISH.read_bytes())
    file.seek(6)
    call(mode, connection_to(server).audio("m"), "transcribe", file)
    assert _file_in(server.seen(PATH)[0].body) == ENGLISH.read_bytes()
    assert not file.closed


def test_a_pipe_is_sent_whole_and_can_be_sent_again(server, mode):
    server.on(PATH, http(503, b'{"detail": "busy"}'), HEARD)
    out, into = os.pipe()
    writer = threading.Thread(target=lambda: _write(into, ENGLISH.read_bytes()))
    writer.start()
    with os.fdopen(out, "rb") as pipe:
        call(mode, connection_to(server, max_retries=1).audio("m"), "transcribe", pipe)
    writer.join()
    assert [_file_in(seen.body) == ENGLISH.read_bytes() for seen in server.seen(PATH)] == [True] * 2


def _write(into: int, data: bytes) -> None:
    with os.fdopen(into, "wb") as file:
        file.write(data)


def test_a_file_that_shrinks_while_it_is_sent_is_named(server, mode, tmp_path):
    file = tmp_path / "growing.wav"
    file.write_bytes(ENGLISH.read_bytes() + bytes(2**20))
    server.on(PATH, HEARD)
    with pytest.raises(XinferenceConfigurationError, match=r"became .* bytes shorter while it was sent"):
        call(
            mode,
            connection_to(server).audio("m"),
            "transcribe",
            file,
            on_progress=lambda *_: os.truncate(file, 300_000),
        )


def test_an_error_of_the_progress_callback_is_the_caller_s_own(server, mode):
    server.on(PATH, HEARD)

    def fail(*_: Any) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        call(mode, connection_to(server).audio("m"), "transcribe", ENGLISH, on_progress=fail)


def test_a_server_that_hangs_up_amid_a_file_is_a_connection_error(server, mode):
    server.on(PATH, (RESET,))
    with pytest.raises(XinferenceConnectionError):
        call(mode, connection_to(server).audio("m"), "transcribe", ENGLISH)


def test_silence_after_a_file_ends_at_the_timeout(server, mode):
    server.on(PATH, (STALL,))
    with pytest.raises(XinferenceTimeoutError, match=r"sent nothing for 0\.1 s"):
        call(mode, connection_to(server).audio("m"), "transcribe", ENGLISH, options=CallOptions(timeout=0.1))


def test_a_name_cannot_end_its_place_in_the_form(mode):
    del mode
    [head] = pieces_of(Form((('a"\r\nX: y', "v"),)), "b")
    assert b'name="a%22%0D%0AX: y"\r\n\r\nv\r\n' in head  # type: ignore[operator]
