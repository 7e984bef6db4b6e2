"""The bytes that the stub server sends: the lab's answers, in any length. Pure; each answer is created once."""

from __future__ import annotations

import base64
import random
from array import array
from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson

from benchmarks.recorded import load

DIMENSIONS = 1024

#: Pieces of text like a model's tokens: most with a leading space, some without, and an occasional line break.
_PIECES = (
    " the",
    " of",
    " a",
    " bridge",
    "s",
    " stand",
    "ing",
    ",",
    " over",
    " water",
    ".",
    " It",
    " was",
    "\n",
    " built",
    " long",
)

_recorded = load()


def json_answer(body: bytes, status: str = "200 OK") -> bytes:
    """Return a complete response with the recorded headers."""
    headers = [*_recorded["json_headers"], ("content-length", str(len(body)))]
    return _head(status, headers) + body


def _head(status: str, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode()


@cache
def chat() -> bytes:
    """Return a chat response, not streamed."""
    return json_answer(orjson.dumps(_recorded["chat"]))


@cache
def completion() -> bytes:
    """Return a completion, not streamed."""
    return json_answer(orjson.dumps(_recorded["completion"]))


def stream_head() -> bytes:
    """Return the head of a streamed response."""
    return _head("200 OK", _recorded["stream_headers"])


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(template: dict[str, Any], text: str | None = None) -> bytes:
    """Return one event as the server writes it, with CRLF, in a separate HTTP chunk."""
    if text is not None:
        choice = template["choices"][0]
        template = {**template, "choices": [{**choice, "delta": {**choice["delta"], "content": text}}]}
    return _http_chunk(b"data: " + orjson.dumps(template) + b"\r\n\r\n")


def stream_first() -> bytes:
    """Return the first event, which has the role and no text."""
    return event(_recorded["stream"][0])


def stream_text(text: str) -> bytes:
    """Return an event from the middle of a stream."""
    return event(_recorded["stream"][1], text)


def stream_end() -> bytes:
    """Return the last events: the finish reason, the usage, `[DONE]`, and the end of the HTTP body."""
    last = b"".join(event(template) for template in _recorded["stream"][2:])
    return last + _http_chunk(b"data: [DONE]\r\n\r\n") + b"0\r\n\r\n"


@cache
def stream(count: int) -> bytes:
    """Return a streamed response with this many pieces of text."""
    pieces = (_PIECES[index % len(_PIECES)] for index in range(count))
    return b"".join([stream_head(), stream_first(), *map(stream_text, pieces), stream_end()])


@cache
def vector(index: int, dimensions: int = DIMENSIONS) -> array[float]:
    """Return a vector like a model's: 32-bit floats around zero, the same ones in every run."""
    chance = random.Random(index)
    return array("f", (chance.gauss(0.0, 0.03) for _ in range(dimensions)))


# The cache holds the batch sizes of one run. A list of floats takes 20 bytes per number, so the cache is limited.
@cache
def embeddings(count: int, *, as_base64: bool) -> bytes:
    """Return vectors for this many texts, in the requested encoding."""
    template = _recorded["embeddings"]
    entry = template["data"][0]
    data = [{**entry, "index": index, "embedding": _written(index % 64, as_base64=as_base64)} for index in range(count)]
    return json_answer(orjson.dumps({**template, "data": data}))


def _written(index: int, *, as_base64: bool) -> str | list[float]:
    numbers = vector(index)
    return base64.b64encode(numbers.tobytes()).decode() if as_base64 else numbers.tolist()


@cache
def models() -> bytes:
    """Return the list of running models."""
    data = [_recorded["chat_model"], _recorded["embedding_model"]]
    return json_answer(orjson.dumps({"object": "list", "data": data}))


@cache
def model(uid: str) -> bytes:
    """Return the description of one model."""
    known = _recorded["embedding_model" if uid.startswith("embed") else "chat_model"]
    return json_answer(orjson.dumps({**known, "id": uid}))


@cache
def auth_is_on() -> bytes:
    """Return the response which shows that the server requires a credential."""
    return json_answer(b'{"auth":true}')


@cache
def unauthorised() -> bytes:
    """Return the response to a request without the key."""
    return json_answer(orjson.dumps(_recorded["unauthorised"]), "401 Unauthorized")


@cache
def not_found() -> bytes:
    """Return the response for a path that the benchmarks do not use."""
    return json_answer(b'{"detail":"Not Found"}', "404 Not Found")
