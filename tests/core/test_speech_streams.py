"""Audio streamed by the server: pings are removed, broken and empty streams raise errors.

No model of the lab streams; what a stream looks like is told in the server's code (sse-starlette's chunks and pings).
"""

from __future__ import annotations

import pytest

from tests.core.asks import connection_to
from tests.core.media_calls import MODES, call
from tests.support.fault_proxy import RESET, http
from xinference_bridge import XinferenceProtocolError, XinferenceStreamError
from xinference_bridge.protocol.sound_stream import SoundStream

pytestmark = [pytest.mark.fault_server, pytest.mark.parametrize("mode", MODES)]
PATH = "/v1/audio/speech"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PING = b": ping - 2026-11-25 12:00:00.123456+00:00\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_the_pieces_joined_are_the_sound(server, mode):
    server.on(PATH, HEAD + chunk(b"\xff\xfbone") + chunk(b"two") + END)
    assert b"".join(call(mode, connection_to(server).audio("m"), "stream_speech", "Hi.")) == b"\xff\xfbonetwo"
    assert b'"stream":true' in server.seen(PATH)[0].body


def test_pings_are_taken_out_of_the_sound(server, mode):
    server.on(PATH, HEAD + chunk(PING) + chunk(b"\xff\xfbone") + chunk(PING[:20]) + chunk(PING[20:] + b"two") + END)
    assert b"".join(call(mode, connection_to(server).audio("m"), "stream_speech", "Hi.")) == b"\xff\xfbonetwo"


@pytest.mark.parametrize("size", [1, 2, 7, 30, 45])
def test_a_ping_is_found_however_it_is_cut(mode, size):
    del mode
    sound = b"\xff\xfb: pin: ping" + b": " * 9
    data = PING + sound + PING + b"more:" + PING
    stream = SoundStream("http://x", "id")
    out = b"".join(stream.read(data[place : place + size]) for place in range(0, len(data), size))
    assert out + stream.end() == sound + b"more:"


def test_a_stream_without_sound_is_an_error_though_it_is_a_200(server, mode):
    server.on(PATH, HEAD + chunk(PING) + END)
    with pytest.raises(XinferenceProtocolError, match="without any sound"):
        call(mode, connection_to(server).audio("m"), "stream_speech", "Hi.")


def test_a_stream_that_breaks_off_is_told(server, mode):
    server.on(PATH, (HEAD + chunk(b"\xff\xfbone"), 0.02, RESET))
    with pytest.raises(XinferenceStreamError, match="truncated"):
        call(mode, connection_to(server).audio("m"), "stream_speech", "Hi.")


@pytest.mark.parametrize("verb", ["speak", "stream_speech"])
def test_a_response_that_is_not_audio_is_refused(server, mode, verb):
    server.on(PATH, http(200, b"<html>Welcome</html>", kind="text/html"))
    with pytest.raises(XinferenceProtocolError, match="Welcome"):
        call(mode, connection_to(server).audio("m"), verb, "Hi.")


def test_a_busy_server_is_asked_again_before_the_first_sound(server, mode):
    server.on(PATH, http(503, b'{"detail": "busy"}'), HEAD + chunk(b"\xff\xfbone") + END)
    pieces = call(mode, connection_to(server, max_retries=1).audio("m"), "stream_speech", "Hi.")
    assert b"".join(pieces) == b"\xff\xfbone"
