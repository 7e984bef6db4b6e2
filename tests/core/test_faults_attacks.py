"""A hostile server: slow, huge or malformed responses. Both transports raise the same error."""

from __future__ import annotations

import gzip
import time
import zlib
from email.utils import formatdate
from typing import Any

import orjson
import pytest

from tests.core.asks import MODES, PATHS, ask, body_of, check_good, connection_to, good, head_of
from tests.support.fault_proxy import CLOSE, STALL, STREAM_END, STREAM_HEAD, FaultServer, Script, chunk, http
from xinference_bridge import (
    XinferenceError,
    XinferenceProtocolError,
    XinferenceRateLimitError,
    XinferenceStreamError,
    XinferenceTimeoutError,
)
from xinference_bridge.connection_settings import CallOptions

pytestmark = [pytest.mark.fault_server, pytest.mark.parametrize("mode", MODES)]
OK = b"HTTP/1.1 200 OK\r\n"
JSON_HEAD = OK + b"content-type: application/json\r\n"
CHUNKED = JSON_HEAD + b"transfer-encoding: chunked\r\n\r\n"
ZIPPED = JSON_HEAD + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
MANY = 64


def trickle(*pieces: bytes) -> Script:
    """Each piece after a pause that no timeout ends."""
    return tuple(step for piece in pieces for step in (piece, 0.03))


def bytes_of(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


_zipper = zlib.compressobj(wbits=31)
_EMPTY_BLOCKS = [_zipper.compress(b"") + _zipper.flush(zlib.Z_FULL_FLUSH) for _ in range(MANY)]

TRICKLES = {
    "the status line": trickle(*bytes_of(b"HTTP/1.1 200 " + b"O" * MANY)),
    "the headers": (OK, *trickle(*(b"x-%d: y\r\n" % at for at in range(MANY)))),
    "one header": (OK + b"x: ", *trickle(*bytes_of(b"y" * MANY))),
    "100 Continue": trickle(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * MANY),
    "103 Early Hints": trickle(*[b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"] * MANY),
    "a body with a length": (JSON_HEAD + b"content-length: 999\r\n\r\n", *trickle(*bytes_of(b"[" * MANY))),
    "a body without a length": (JSON_HEAD + b"\r\n", *trickle(*bytes_of(b"[" * MANY))),
    "the size of a chunk": (CHUNKED, *trickle(*bytes_of(b"0" * MANY))),
    "the extension of a chunk": (CHUNKED + b"1;", *trickle(*bytes_of(b"x" * MANY))),
    "the end of a chunk": (CHUNKED + b"1\r\n[", *trickle(*[b"\r\n1\r\n["] * MANY)),
    "trailers": (CHUNKED + b"0\r\n", *trickle(*(b"x-%d: y\r\n" % at for at in range(MANY)))),
    "empty blocks of gzip": (ZIPPED, *trickle(*(chunk(block) for block in _EMPTY_BLOCKS if block))),
    "pings of a stream": (STREAM_HEAD, *trickle(*[chunk(b": ping\r\n\r\n")] * MANY)),
    "half an event": (STREAM_HEAD + chunk(b"data: "), *trickle(*[chunk(b"x")] * MANY)),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", ["chat", "stream"])
@pytest.mark.parametrize("script", TRICKLES.values(), ids=TRICKLES)
def test_a_deadline_ends_every_stage_of_an_answer_that_trickles(server: FaultServer, mode: str, what: str, script):
    server.on(PATHS[what], (*script, STALL))
    began = time.monotonic()
    with pytest.raises((XinferenceTimeoutError, XinferenceStreamError), match=r"deadline of 0\.2 s"):
        ask(mode, connection_to(server), what, options=CallOptions(deadline=0.2))
    assert time.monotonic() - began < 1.5


@pytest.mark.slow
def test_a_deadline_bounds_the_look_that_explains_a_failure(server: FaultServer, mode: str):
    server.on(PATHS["chat"], http(404, b'{"detail":"Model not found in the model list, uid: tiny-chat"}'))
    server.on("/v1/models", trickle(*bytes_of(OK + b"x: " + b"y" * MANY)))
    began = time.monotonic()
    with pytest.raises(XinferenceError, match="No model 'tiny-chat'"):
        ask(mode, connection_to(server), "chat", options=CallOptions(deadline=0.3))
    assert time.monotonic() - began < 1.5


def test_the_timeout_of_a_call_bounds_the_look_too(server: FaultServer, mode: str):
    server.on(PATHS["chat"], http(404, b'{"detail":"Model not found in the model list, uid: tiny-chat"}'))
    server.on("/v1/models", (STALL,))
    began = time.monotonic()
    with pytest.raises(XinferenceError, match="No model 'tiny-chat'"):
        ask(mode, connection_to(server), "chat", options=CallOptions(timeout=0.2))
    assert time.monotonic() - began < 1.5


# Size

LIMIT = 200_000
BOMB = gzip.compress(b" " * (LIMIT * 20))
TOO_LARGE = {
    "a length of 200 GB": (JSON_HEAD + b"content-length: 200000000000\r\n\r\n", b"[", STALL),
    "a body with a length": http(200, b" " * (LIMIT + 1)),
    "a body without a length": (JSON_HEAD + b"\r\n" + b" " * (LIMIT + 1), CLOSE),
    "a chunked body": CHUNKED + chunk(b" " * 65536) * 4 + STREAM_END,
    "a chunk that claims 4 GB": (CHUNKED + b"ffffffff\r\n" + b" " * (LIMIT + 65536), STALL),
    "a bomb of gzip": http(200, BOMB, content_encoding="gzip"),
    "a chunked bomb of gzip": ZIPPED + chunk(BOMB) + STREAM_END,
    "a bomb of deflate": http(200, zlib.compress(b" " * (LIMIT * 20)), content_encoding="deflate"),
    "an error page": http(500, b"<" * (LIMIT + 1), kind="text/html"),
    "a stream": STREAM_HEAD + chunk(b": ping\r\n\r\n" * 6000) * 4 + STREAM_END,
    "a stream without an end of line": STREAM_HEAD + chunk(b"data: " + b"x" * 65536) * 4 + STREAM_END,
}


@pytest.mark.slow
@pytest.mark.parametrize("what", ["chat", "stream", "embeddings"])
@pytest.mark.parametrize("script", TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_is_larger_than_the_limit_is_refused(server: FaultServer, mode: str, what: str, script):
    server.on(PATHS[what], script)
    with pytest.raises((XinferenceProtocolError, XinferenceStreamError), match="max_response_bytes") as caught:
        ask(mode, connection_to(server, max_response_bytes=LIMIT, max_retries=3), what)
    assert len(server.seen(PATHS[what])) == 1
    assert caught.value.model_uid


FLOODS = {
    "headers": (OK, b"".join(b"x-%d: y\r\n" % at for at in range(300_000)), b"\r\n"),
    "one header": (OK + b"x: " + b"y" * 3_000_000,),
    "the status line": (b"HTTP/1.1 200 " + b"O" * 3_000_000,),
    "100 Continue": (b"HTTP/1.1 100 Continue\r\n\r\n" * 200_000,),
    "103 Early Hints": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 200_000,),
    "blank lines": (b"\r\n" * 3_000_000,),
    "trailers": (CHUNKED + b"0\r\n", b"x: y\r\n" * 600_000),
    "the extension of a chunk": (CHUNKED + b"1;" + b"x" * 3_000_000,),
    "the size of a chunk": (CHUNKED + b"0" * 3_000_000,),
    "empty blocks of gzip": (ZIPPED, chunk(b"".join(_EMPTY_BLOCKS)) * 20_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("script", FLOODS.values(), ids=FLOODS)
def test_a_flood_around_the_body_is_refused(server: FaultServer, mode: str, script):
    server.on(PATHS["chat"], (*script, STALL))
    with pytest.raises(XinferenceError) as caught:
        ask(mode, connection_to(server, max_retries=0, timeout=5.0), "chat")
    assert not isinstance(caught.value, XinferenceTimeoutError)
    assert len(str(caught.value)) < 1000


@pytest.mark.slow
@pytest.mark.parametrize("interim", [b"100 Continue", b"103 Early Hints"])
def test_silence_after_an_interim_answer_ends_at_the_timeout(server: FaultServer, mode: str, interim: bytes):
    server.on(PATHS["chat"], (b"HTTP/1.1 " + interim + b"\r\n\r\n", STALL))
    with pytest.raises(XinferenceTimeoutError, match="sent nothing"):
        ask(mode, connection_to(server), "chat", options=CallOptions(timeout=0.2))


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
@pytest.mark.parametrize("what", ["chat", "embeddings"])
def test_an_answer_that_a_proxy_compressed_unasked_is_read(server: FaultServer, mode: str, what: str, encoding: str):
    pack: Any = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[encoding]
    server.on(PATHS[what], http(200, pack(body_of(good(what))), content_encoding=encoding))
    check_good(what, ask(mode, connection_to(server), what))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("br", b"\x00"), ("gzip", b"no gzip"), ("gzip", gzip.compress(b"{}" * 99)[:-9])],
    ids=["unknown", "no gzip", "cut off"],
)
def test_an_encoding_that_cannot_be_read_is_named(server: FaultServer, mode: str, encoding: str, body: bytes):
    server.on(PATHS["chat"], http(200, body, content_encoding=encoding))
    with pytest.raises(XinferenceProtocolError, match=f"content-encoding.*{encoding}"):
        ask(mode, connection_to(server), "chat")


# The same outcome in both transports

_BODY = body_of(good("chat"))
READ = {
    "103 before the answer": b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + good("chat"),
    "100 before the answer": b"HTTP/1.1 100 Continue\r\n\r\n" + good("chat"),
    "no length": (JSON_HEAD + b"\r\n" + _BODY, CLOSE),
    "chunks with extensions": CHUNKED + b"%x;a=b\r\n" % len(_BODY) + _BODY + b"\r\n0\r\nx-trailer: 1\r\n\r\n",
}
MALFORMED = {
    "a length beyond 64 bits": JSON_HEAD + b"content-length: %d\r\n\r\n" % 2**70,
    "a length that is negative": JSON_HEAD + b"content-length: -5\r\n\r\n" + _BODY,
    "a length that is no number": JSON_HEAD + b"content-length: many\r\n\r\n" + _BODY,
    "a length with an underscore": JSON_HEAD + b"content-length: 1_0\r\n\r\n" + _BODY,
    "a length with a sign": JSON_HEAD + b"content-length: +5\r\n\r\n" + _BODY,
    "two lengths": JSON_HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\n" + _BODY,
    "a chunk size that is no number": CHUNKED + b"zz\r\n" + _BODY,
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "a length of 0": JSON_HEAD + b"content-length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", READ.values(), ids=READ)
def test_odd_answers_are_read(server: FaultServer, mode: str, answer):
    server.on(PATHS["chat"], answer)
    check_good("chat", ask(mode, connection_to(server), "chat"))


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED)
def test_malformed_answers_are_refused_and_not_asked_for_again(server: FaultServer, mode: str, answer):
    server.on(PATHS["chat"], (answer, CLOSE))
    with pytest.raises(XinferenceError) as caught:
        ask(mode, connection_to(server, max_retries=3), "chat")
    assert not caught.value.retryable
    assert len(server.seen(PATHS["chat"])) == 1


@pytest.mark.parametrize("dated", [True, False])
def test_retry_after_as_a_date_is_honoured(server: FaultServer, mode: str, dated: bool):
    now = time.time() - (3600 if dated else 0)  # by the server's clock, if the response has a date
    headers: dict[str, Any] = {"retry_after": formatdate(now + 40, usegmt=True)}
    if dated:
        headers["date"] = formatdate(now, usegmt=True)
    server.on(PATHS["chat"], http(429, b'{"detail":"rate limit"}', **headers))
    with pytest.raises(XinferenceRateLimitError) as caught:
        ask(mode, connection_to(server), "chat")
    assert 38 <= (caught.value.retry_after or 0) <= 41


# Time

PAGES = {
    "of <": b"<" * 400_000,
    "of <title": b"<title" * 60_000,
    "of <script": b"<script " * 60_000,
    "of <style>": b"<style>" * 60_000,
    "of Only": b"Only " * 80_000,
    "of Remote server": b"Remote server " * 40_000,
    "of input": b"input" * 80_000,
    "of digits": b"1" * 400_000,
    "of JSON": orjson.dumps({"detail": "Only " * 80_000}),
    "of a list": orjson.dumps({"detail": [{"msg": "x", "loc": ["y"] * 10}] * 10_000}),
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_a_hostile_error_page_is_quoted_in_no_time(server: FaultServer, mode: str, page: bytes):
    server.on(PATHS["chat"], http(500, page, kind="text/html"))
    began = time.process_time()
    with pytest.raises(XinferenceError) as caught:
        ask(mode, connection_to(server), "chat")
    assert time.process_time() - began < 2  # it took more than a minute
    assert len(str(caught.value)) < 2000


# Depth

DEEP = {
    "an error detail": http(400, b'{"detail":' + b"[" * 900 + b"]" * 900 + b"}"),
    "an error that is deeper than any parser goes": http(400, b'{"detail":' + b"[" * 100_000),
    "an answer": http(200, b"[" * 900 + b"]" * 900),
    "an answer that is deeper than any parser goes": http(200, b"[" * 100_000),
    "an error event": http(200, b'data: {"error":' + b"[" * 900 + b"]" * 900 + b"}\r\n\r\n", kind="text/event-stream"),
    "an event": http(200, b'data: {"choices":' + b"[" * 900 + b"]" * 900 + b"}\r\n\r\n", kind="text/event-stream"),
}


@pytest.mark.parametrize("what", ["chat", "stream", "embeddings", "rerank"])
@pytest.mark.parametrize("answer", DEEP.values(), ids=DEEP)
def test_deep_json_is_an_error_of_ours(server: FaultServer, mode: str, what: str, answer: bytes):
    server.on(PATHS[what], answer)
    with pytest.raises(XinferenceError):
        ask(mode, connection_to(server), what)


def test_no_message_holds_control_characters_or_bidi_overrides(server: FaultServer, mode: str):
    evil = "evil\x1b[31m\x07\u202etxt\u2066\x9b\u2028\x7f"
    server.on(PATHS["chat"], http(400, orjson.dumps({"detail": evil})))
    with pytest.raises(XinferenceError) as caught:
        ask(mode, connection_to(server), "chat")
    assert "evil" in str(caught.value)
    assert not set("\x1b\x07\u202e\u2066\x9b\u2028\x7f") & set(str(caught.value) + (caught.value.body or ""))


def test_a_location_is_told_without_its_secrets(server: FaultServer, mode: str):
    target = "https://ada:pa55@elsewhere.example/login?key=xf-secret-key#xf-secret-key"
    server.on(PATHS["chat"], http(307, b"", location=target))
    with pytest.raises(XinferenceError, match=r"elsewhere\.example") as caught:
        ask(mode, connection_to(server, api_key="xf-secret-key"), "chat")
    told = f"{caught.value} {caught.value.body} {caught.value!r}"
    assert "pa55" not in told
    assert "xf-secret-key" not in told


def test_events_are_read_after_a_head_that_came_in_pieces(server: FaultServer, mode: str):
    answer = good("stream")
    head = head_of(answer)
    server.on(PATHS["stream"], (head[:9], 0.01, head[9:30], 0.01, head[30:] + answer[len(head) :]))
    check_good("stream", ask(mode, connection_to(server), "stream"))
