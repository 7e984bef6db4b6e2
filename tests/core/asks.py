"""The four kinds of calls to a server, sync and async, and the recorded responses to them.

`recorded(name)` gives the bytes of a real server (`tests/support/record_bytes.py`); a test breaks them and sends them.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from tests.support.fault_proxy import FaultServer, http
from tests.support.record_bytes import CHAT, COMPLETION, EMBED, FOLDER, RERANK, chunks_of
from xinference_bridge import XinferenceConnection
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions
from xinference_bridge.models.chat import ChatHandle
from xinference_bridge.models.completion import CompletionHandle
from xinference_bridge.models.embedding import EmbeddingHandle
from xinference_bridge.models.rerank import RerankHandle
from xinference_bridge.protocol.chat.request import ChatCall

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from xinference_bridge.protocol.chat.result import ChatResult

TEXTS = ["a cat", "a dog", "a ship"]
CALL = ChatCall([{"role": "user", "content": "Say hello."}])
MODES = ("sync", "async")
ASKS = ("chat", "stream", "embeddings", "rerank")
STREAMS = ("stream", "completion stream")
PATHS = {"chat": CHAT, "stream": CHAT, "completion stream": COMPLETION, "embeddings": EMBED, "rerank": RERANK}
UIDS = {"embeddings": "minilm", "rerank": "tiny-rerank"}
_RECORDINGS = {
    "chat": "chat",
    "stream": "chat_stream",
    "completion stream": "completion_stream",
    "embeddings": "embeddings",
    "rerank": "rerank",
}


@lru_cache
def recorded(name: str) -> bytes:
    """A real server's answer, head and body."""
    path: Path = FOLDER / f"{name}.http"
    return path.read_bytes()


def good(ask: str) -> bytes:
    """What the server answers to this ask when all is well."""
    return recorded(_RECORDINGS[ask])


def body_of(answer: bytes) -> bytes:
    """Its body, the chunks of a stream joined."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return b"".join(chunks_of(body)) if b"chunked" in head.lower() else body


def changed(name: str, change: Callable[[Any], Any]) -> bytes:
    """A recorded answer with its JSON changed."""
    content = orjson.loads(body_of(recorded(name)))
    result = change(content)
    return http(200, orjson.dumps(content if result is None else result))


def events_of(answer: bytes) -> list[bytes]:
    """The events of a recorded stream, one a chunk, framing included."""
    return [f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in chunks_of(answer.partition(b"\r\n\r\n")[2])]


def head_of(answer: bytes) -> bytes:
    """Status line and headers, with the empty line."""
    return answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def text_of(answer: bytes) -> str:
    """The text of a recorded stream, read by a pattern and not by the code under test."""
    pieces = re.findall(rb'"(?:content|text)": ?("(?:[^"\\]|\\.)*")', body_of(answer))
    return "".join(orjson.loads(piece) for piece in pieces)


def healthy(server: FaultServer) -> FaultServer:
    """Let the server answer everything as a real one did."""
    server.on("/v1/models", recorded("models"))
    for uid, name in (("minilm", "minilm"), ("tiny-rerank", "rerank"), ("tiny-chat", "chat")):
        server.on(f"/v1/models/{uid}", recorded(f"describe_{name}"))
    server.on("/v1/models/nope", recorded("describe_unknown"))
    for ask in ("chat", "completion stream", "embeddings", "rerank"):
        server.on(PATHS[ask], good(ask))
    return server


def connection_to(server: FaultServer | str, **settings: Any) -> XinferenceConnection:
    """A connection that tries once; patient, since the machine may be busy: a test of silence shortens one call."""
    url = server if isinstance(server, str) else server.url
    return XinferenceConnection(url, **{"timeout": 10.0, "max_retries": 0, **settings})


class Streamed:
    """What a stream gave: the pieces, and the whole, if it came to that."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.final: ChatResult | None = None

    def take(self, delta: Any) -> None:
        if delta.text:
            self.pieces.append(delta.text)
        self.final = delta.final or self.final

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def sync_ask(
    connection: XinferenceConnection, ask: str, into: Streamed | None = None, options: CallOptions = DEFAULT_OPTIONS
) -> Any:
    """One ask; the result, or its error."""
    uid = UIDS.get(ask, "tiny-chat")
    if ask == "chat":
        return ChatHandle(connection, uid).chat(CALL, options)
    if ask == "embeddings":
        return EmbeddingHandle(connection, uid).embed(TEXTS, {}, options)
    if ask == "rerank":
        return RerankHandle(connection, uid).rerank("a cat", TEXTS, {}, options)
    streamed = into or Streamed()
    if ask == "stream":
        deltas = ChatHandle(connection, uid).stream_chat(CALL, options)
    else:
        deltas = CompletionHandle(connection, uid).stream_complete("Once", {}, options)
    for delta in deltas:
        streamed.take(delta)
    return streamed


async def async_ask(
    connection: XinferenceConnection, ask: str, into: Streamed | None = None, options: CallOptions = DEFAULT_OPTIONS
) -> Any:
    """Async version of `sync_ask`."""
    uid = UIDS.get(ask, "tiny-chat")
    if ask == "chat":
        return await ChatHandle(connection, uid).achat(CALL, options)
    if ask == "embeddings":
        return await EmbeddingHandle(connection, uid).aembed(TEXTS, {}, options)
    if ask == "rerank":
        return await RerankHandle(connection, uid).arerank("a cat", TEXTS, {}, options)
    streamed = into or Streamed()
    if ask == "stream":
        stream = ChatHandle(connection, uid).astream_chat(CALL, options)
    else:
        stream = CompletionHandle(connection, uid).astream_complete("Once", {}, options)
    async with aclosing(stream) as deltas:
        async for delta in deltas:
            streamed.take(delta)
    return streamed


def ask(
    mode: str,
    connection: XinferenceConnection,
    what: str,
    into: Streamed | None = None,
    options: CallOptions = DEFAULT_OPTIONS,
) -> Any:
    """One ask in either mode, the connection closed afterwards."""
    if mode == "sync":
        with connection:
            return sync_ask(connection, what, into, options)

    async def run() -> Any:
        async with connection:
            return await async_ask(connection, what, into, options)

    return asyncio.run(run())


def check_good(what: str, result: Any) -> None:
    """The answer is the recorded one, neither less nor more."""
    if what == "embeddings":
        assert [len(vector) for vector in result.vectors] == [384] * 3
    elif what == "rerank":
        assert sorted(entry.index for entry in result) == [0, 1, 2]
    elif what == "chat":
        assert result.text == orjson.loads(body_of(good("chat")))["choices"][0]["message"]["content"]
    else:
        assert result.text == text_of(good(what))
        assert result.final is not None
        assert result.final.text == result.text
