"""Chunks and bodies of chat answers as servers write them, and the parser's results, checked to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xinference_bridge.protocol.chat.accumulator import ChatAccumulator
from xinference_bridge.protocol.chat.result import ChatDelta, ChatResult

if TYPE_CHECKING:
    from xinference_bridge.protocol.chat.tags import Start

CALL = '{"name": "add", "arguments": {"a": 1,  "b": [2.50]}}'


def chunk(delta: dict[str, Any] | None = None, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "choices": [choice], **more}


def say(*pieces: str) -> list[dict[str, Any]]:
    return [chunk({"content": piece}) for piece in pieces] + [chunk({}, "stop")]


def body(message: dict[str, Any], finish_reason: str | None = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 7, "choices": [choice], **more}


def stream(
    events: list[dict[str, Any]], *, tools: bool = False, start: Start = "text", completion: bool = False
) -> tuple[list[ChatDelta], ChatResult]:
    """Return the deltas of these chunks and the result, after a check that the joined deltas equal the result."""
    reader = ChatAccumulator(tools=tools, start=start, completion=completion)
    deltas = [delta for delta in map(reader.feed, events) if delta is not None]
    assert all(delta.text or delta.reasoning or delta.tool_calls or delta.logprobs for delta in deltas)
    deltas.append(reader.finish())
    result = deltas[-1].final
    assert result is not None
    assert result.text == "".join(delta.text for delta in deltas) == reader.text
    assert result.reasoning == "".join(delta.reasoning for delta in deltas)
    assert (result.logprobs or []) == [entry for delta in deltas for entry in delta.logprobs or []]
    calls: dict[int, tuple[str | None, str | None, str]] = {}
    for fragment in (fragment for delta in deltas for fragment in delta.tool_calls):
        if fragment.index in calls:
            assert (fragment.id, fragment.name) == (None, None)
            call_id, name, arguments = calls[fragment.index]
            calls[fragment.index] = call_id, name, arguments + fragment.arguments
        else:
            assert fragment.id is not None
            assert fragment.name is not None
            calls[fragment.index] = fragment.id, fragment.name, fragment.arguments
    assert list(calls) == list(range(len(calls)))
    assert [(call.id, call.name, call.arguments) for call in result.tool_calls] == list(calls.values())
    return deltas, result


def final(
    events: list[dict[str, Any]], *, tools: bool = False, start: Start = "text", completion: bool = False
) -> ChatResult:
    return stream(events, tools=tools, start=start, completion=completion)[1]


def server_call(
    index: int | None, arguments: Any, name: str | None = None, call_id: str | None = None
) -> dict[str, Any]:
    fragment: dict[str, Any] = {"function": {"arguments": arguments}}
    if index is not None:
        fragment["index"] = index
    if call_id is not None:
        fragment |= {"id": call_id, "type": "function"}
    if name is not None:
        fragment["function"]["name"] = name
    return fragment
