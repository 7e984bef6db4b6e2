"""Responses of a real server with one changed value, and a transport that returns them without a socket."""

from __future__ import annotations

import copy
import json
import os
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.core.asks import body_of, good, recorded
from xinference_bridge.client.transport.aiohttp_transport import AiohttpTransport
from xinference_bridge.client.transport.requests_transport import RequestsTransport
from xinference_bridge.protocol.http import Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import pytest

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "assistant", "stop", "\x1b[2J", "\u202e", "<think>", "<tool_call>{", "0", "1e400", "\ud800"]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "index", "text"]), inner),
    max_leaves=6,
)
DEEP = st.sampled_from([150, 300, 900]).map(lambda depth: json.loads("[" * depth + "]" * depth))
FUZZ = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "40")),  # fewer in `make test`
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""The same examples in every run; all take a second or two."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths in a JSON value, with only the first three entries of long lists."""
    found = [path]
    if isinstance(value, dict):
        for name, inner in value.items():
            found += places(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:3]):
            found += places(inner, (*path, index))
    return found


def replaced(value: Any, path: tuple[Any, ...], by: Any, *, drop: bool) -> Any:
    """Return the value with one path replaced or removed."""
    if not path:
        return by
    changed = copy.deepcopy(value)
    inside = changed
    for step in path[:-1]:
        inside = inside[step]
    if drop:
        del inside[path[-1]]
    else:
        inside[path[-1]] = by
    return changed


@lru_cache
def original(name: str) -> Any:
    """Return a real server's response, with all optional fields of a chat's choice."""
    if name == "chat":
        answer = orjson.loads(body_of(good("chat")))
        answer["choices"][0]["logprobs"] = {"content": [_TOKEN | {"top_logprobs": [_TOKEN]}]}
        call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
        answer["choices"][0]["message"] |= {"tool_calls": [call], "reasoning_content": "hm"}
        return answer
    if name == "completion":
        return {
            "id": "1",
            "object": "text_completion",
            "created": 1,
            "model": "tiny-chat",
            "choices": [{"text": "once", "index": 0, "logprobs": _LEGACY, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
    return orjson.loads(body_of(recorded(name)))


_TOKEN = {"token": "a", "logprob": -0.5, "bytes": [97]}
_LEGACY = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"a": -0.5}], "text_offset": [0]}


@lru_cache
def stream_of(name: str) -> tuple[Any, ...]:
    """Return the events of a recorded stream."""
    lines = body_of(recorded(name)).decode().splitlines()
    return tuple(json.loads(line[6:]) for line in lines if line.startswith("data: {"))


def changed_answers(value: Any) -> st.SearchStrategy[bytes]:
    """Return a strategy for the value with one path changed, as bytes."""

    def write(path: tuple[Any, ...], by: Any, drop: bool) -> bytes:
        return json.dumps(replaced(value, path, by, drop=drop)).encode()

    return st.builds(write, st.sampled_from(places(value)), JSON | DEEP, st.booleans())


@contextmanager
def answering(monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], bytes | list[bytes]]) -> Iterator[None]:
    """Answer every request, sync or async, with `answer(path)`: a body, or the pieces of a stream."""

    def send(_: Any, call: Any, __: str | None) -> Response:
        body = answer(call.request.path)
        whole = body if isinstance(body, bytes) else b"".join(body)
        return Response(200, whole, {"content-type": "application/json"}, call.url, call.request_id)

    def stream(_: Any, call: Any, __: str | None) -> _Stream:
        body = answer(call.request.path)
        return _Stream([body] if isinstance(body, bytes) else body, call)

    async def asend(transport: Any, call: Any, authorization: str | None) -> Response:
        return send(transport, call, authorization)

    async def astream(transport: Any, call: Any, authorization: str | None) -> _AsyncStream:
        return _AsyncStream(stream(transport, call, authorization))

    with monkeypatch.context() as patched:
        patched.setattr(RequestsTransport, "send", send)
        patched.setattr(RequestsTransport, "stream", stream)
        patched.setattr(AiohttpTransport, "send", asend)
        patched.setattr(AiohttpTransport, "stream", astream)
        yield


class _Stream:
    """A stream of pieces in memory."""

    def __init__(self, pieces: list[bytes], call: Any) -> None:
        self.status, self.headers, self.request_id = 200, {"content-type": "text/event-stream"}, call.request_id
        self._pieces = iter(pieces)
        self._call = call

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def read(self) -> Response:
        return Response(200, b"".join(self._pieces), self.headers, self._call.url, self.request_id)

    def finish(self, chunks: Iterator[bytes]) -> None:
        """Do nothing: nothing is left."""

    def close(self) -> None:
        """Do nothing: there is no socket."""


class _AsyncStream:
    """The same stream for async readers."""

    def __init__(self, stream: _Stream) -> None:
        self.status, self.headers, self.request_id = stream.status, stream.headers, stream.request_id
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._stream:
            yield piece

    async def read(self) -> Response:
        return self._stream.read()

    async def finish(self, chunks: AsyncIterator[bytes]) -> None:
        """Do nothing: nothing is left."""

    def close(self) -> None:
        """Do nothing: there is no socket."""
