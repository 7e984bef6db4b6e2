"""Changes that gateways make to a stream, and every form of an error with HTTP 200. Sync and async."""

from __future__ import annotations

import orjson
import pytest

from tests.core.asks import MODES, PATHS, STREAMS, Streamed, ask, check_good, connection_to, events_of, good, head_of
from tests.support.fault_proxy import FaultServer, chunk, http
from xinference_bridge import (
    XinferenceContextOverflowError,
    XinferenceProtocolError,
    XinferenceRateLimitError,
    XinferenceServerError,
    XinferenceStreamError,
)

pytestmark = [pytest.mark.fault_server, pytest.mark.parametrize("mode", MODES)]

SAID = "CUDA out of memory"
#: Every shape that an error has: Xinference's own, OpenAI's, FastAPI's, vLLM's and FastChat's.
SHAPES = [
    {"error": SAID},
    {"error": {"message": SAID, "type": "server_error", "code": 500}},
    {"detail": SAID},
    {"detail": [{"loc": ["body"], "msg": SAID, "type": "value_error"}]},
    {"object": "error", "message": SAID, "type": "InternalServerError", "param": None, "code": 500},
    {"object": "error", "detail": SAID},
    {"error": {"detail": SAID}},
]
ODD = {
    "empty data": b"data:\r\n\r\n",
    "blank data": b"data:  \r\n\r\n",
    "no choices": b'data: {"id": "x", "object": "chat.completion.chunk"}\r\n\r\n',
    "null choices": b'data: {"id": "x", "choices": null}\r\n\r\n',
    "empty choices": b'data: {"id": "x", "choices": []}\r\n\r\n',
}


@pytest.mark.parametrize("what", STREAMS)
@pytest.mark.parametrize("odd", ODD)
def test_empty_events_are_ignored_everywhere(server: FaultServer, mode: str, what: str, odd: str):
    events = [piece for event in events_of(good(what)) for piece in (chunk(ODD[odd]), event)]
    server.on(PATHS[what], (head_of(good(what)), *events, b"0\r\n\r\n"))
    check_good(what, ask(mode, connection_to(server), what))


@pytest.mark.parametrize("done", [b"data: [DONE] \r\n\r\n", b"data:[DONE]\n\n", b"data:  [DONE]\t\n\n"])
def test_white_space_around_done_ends_the_stream_all_the_same(server: FaultServer, mode: str, done: bytes):
    events = [event for event in events_of(good("stream")) if b"[DONE]" not in event]
    server.on(PATHS["stream"], (head_of(good("stream")), *events, chunk(done), b"0\r\n\r\n"))
    check_good("stream", ask(mode, connection_to(server), "stream"))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("what", ["chat", "embeddings", "rerank"])
def test_an_error_under_200_is_told_in_every_shape(server: FaultServer, mode: str, what: str, shape):
    server.on(PATHS[what], http(200, orjson.dumps(shape)))
    with pytest.raises(XinferenceServerError, match=f"answered 200 with an error.*{SAID}"):
        ask(mode, connection_to(server), what)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("what", STREAMS)
def test_an_error_in_a_stream_is_told_in_every_shape_and_by_its_place(server: FaultServer, mode: str, what: str, shape):
    event = chunk(b"data: " + orjson.dumps(shape) + b"\r\n\r\n")
    events = events_of(good(what))
    server.on(PATHS[what], (head_of(good(what)), event, b"0\r\n\r\n"))
    with pytest.raises(XinferenceServerError, match=f"began a stream with an error.*{SAID}"):
        ask(mode, connection_to(server), what)
    server.on(PATHS[what], (head_of(good(what)), *events[:3], event, b"0\r\n\r\n"))
    got = Streamed()
    with pytest.raises(XinferenceStreamError, match=f"sent an error amid a stream.*{SAID}") as caught:
        ask(mode, connection_to(server), what, got)
    assert "began" not in str(caught.value)
    assert caught.value.partial_text == got.text != ""


@pytest.mark.parametrize(
    ("said", "kind"),
    [("Rate limit reached", XinferenceRateLimitError), ("maximum context length is 8", XinferenceContextOverflowError)],
)
def test_an_error_under_200_is_of_the_kind_that_its_words_say(server: FaultServer, mode: str, said: str, kind):
    server.on(PATHS["chat"], http(200, orjson.dumps({"object": "error", "message": said})))
    with pytest.raises(kind):
        ask(mode, connection_to(server), "chat")


@pytest.mark.parametrize("what", [*STREAMS, "chat"])
def test_an_empty_204_is_no_redirect(server: FaultServer, mode: str, what: str):
    server.on(PATHS[what], http(204, b""))
    with pytest.raises(XinferenceProtocolError) as caught:
        ask(mode, connection_to(server), what)
    assert "redirect" not in str(caught.value)
