"""The bytes that the stub server sends: the lab's answers, in any length. Pure; each is made once."""

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

#: Pieces of text as a model's tokens are: most with a leading space, some without, now and then a line break.
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
    """A whole answer with the recorded headers."""
    headers = [*_recorded["json_headers"], ("content-length", str(len(body)))]
    return _head(status, headers) + body


def _head(status: str, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode()


@cache
def chat() -> bytes:
    """A chat answer that was not streamed."""
    return json_answer(orjson.dumps(_recorded["chat"]))


@cache
def completion() -> bytes:
    """A completion that was not streamed."""
    return json_answer(orjson.dumps(_recorded["completion"]))


def stream_head() -> bytes:
    """The head of a streamed answer."""
    return _head("200 OK", _recorded["stream_headers"])


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(template: dict[str, Any], text: str | None = None) -> bytes:
    """One event as the server writes it, CRLF and all, in an HTTP chunk of its own."""
    if text is not None:
        choice = template["choices"][0]
        template = {**template, "choices": [{**choice, "delta": {**choice["delta"], "content": text}}]}
    return _http_chunk(b"data: " + orjson.dumps(template) + b"\r\n\r\n")


def stream_first() -> bytes:
    """The first event, which names the role and says nothing."""
    return event(_recorded["stream"][0])


def stream_text(text: str) -> bytes:
    """An event amid the stream."""
    return event(_recorded["stream"][1], text)


def stream_end() -> bytes:
    """The last events: the finish reason, the usage, `[DONE]`, and the end of the HTTP body."""
    last = b"".join(event(template) for template in _recorded["stream"][2:])
    return last + _http_chunk(b"data: [DONE]\r\n\r\n") + b"0\r\n\r\n"


@cache
def stream(count: int) -> bytes:
    """A streamed answer of so many pieces of text."""
    pieces = (_PIECES[index % len(_PIECES)] for index in range(count))
    return b"".join([stream_head(), stream_first(), *map(stream_text, pieces), stream_end()])


@cache
def vector(index: int, dimensions: int = DIMENSIONS) -> array[float]:
    """A vector as a model gives: 32-bit floats around zero, the same ones at every run."""
    chance = random.Random(index)
    return array("f", (chance.gauss(0.0, 0.03) for _ in range(dimensions)))


# As many sizes of batches as a run uses; a list of floats is 20 bytes a number, so they are not all kept for ever.
@cache
def embeddings(count: int, *, as_base64: bool) -> bytes:
    """Vectors for so many texts, in the form that was asked for."""
    template = _recorded["embeddings"]
    entry = template["data"][0]
    data = [{**entry, "index": index, "embedding": _written(index % 64, as_base64=as_base64)} for index in range(count)]
    return json_answer(orjson.dumps({**template, "data": data}))


def _written(index: int, *, as_base64: bool) -> str | list[float]:
    numbers = vector(index)
    return base64.b64encode(numbers.tobytes()).decode() if as_base64 else numbers.tolist()


@cache
def models() -> bytes:
    """The list of running models."""
    data = [_recorded["chat_model"], _recorded["embedding_model"]]
    return json_answer(orjson.dumps({"object": "list", "data": data}))


@cache
def model(uid: str) -> bytes:
    """The description of one model."""
    known = _recorded["embedding_model" if uid.startswith("embed") else "chat_model"]
    return json_answer(orjson.dumps({**known, "id": uid}))


@cache
def auth_is_on() -> bytes:
    """What says that the server wants a credential."""
    return json_answer(b'{"auth":true}')


@cache
def unauthorised() -> bytes:
    """The answer to a request without the key."""
    return json_answer(orjson.dumps(_recorded["unauthorised"]), "401 Unauthorized")


@cache
def not_found() -> bytes:
    """The answer for a path that the benchmarks do not use."""
    return json_answer(b'{"detail":"Not Found"}', "404 Not Found")
