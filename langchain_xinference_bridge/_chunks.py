"""Convert the deltas of an answer to LangChain's chunks. Joined, they equal the answer without streaming. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from langchain_core.messages import AIMessageChunk, ToolCallChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.utils.json import parse_partial_json

from langchain_xinference_bridge._messages import headers_from_wire, metadata_from_wire, usage_from_wire
from xinference_bridge.protocol.chat.result import ChatDelta, ChatResult
from xinference_bridge.protocol.chat.tool_calls import ToolCall, ToolCallDelta
from xinference_bridge.protocol.chat.tool_forms.written import json_depth
from xinference_bridge.protocol.exact_json import too_deep


class ChunkWriter:
    """Builds the chunks of one answer. With `blocks` (output version v1), their content is blocks, numbered by kind.

    A chunk has text, reasoning or tool calls, never two of them: LangChain's `content_blocks` drops the tool calls
    of a chunk that also has text. Metadata of the whole answer is only in its last chunk, because joining chunks
    concatenates strings: `stopstop`.
    """

    __slots__ = ("_blocks", "_headers", "_numbers", "_uid", "_usage")

    def __init__(self, uid: str, *, blocks: bool, usage: bool = True, headers: bool = False) -> None:
        self._uid = uid
        self._headers = headers
        self._usage = usage
        self._blocks = blocks
        self._numbers: dict[object, int] = {}

    def chunks(self, delta: ChatDelta) -> Iterable[ChatGenerationChunk]:
        """Return the chunks for this delta."""
        if delta.reasoning or delta.tool_calls or delta.logprobs or delta.final or self._blocks:
            return self._all_kinds(delta)
        return (_text_chunk(delta.text),)  # the most common case

    def _all_kinds(self, delta: ChatDelta) -> Iterator[ChatGenerationChunk]:
        info: dict[str, Any] | None = {"logprobs": {"content": delta.logprobs}} if delta.logprobs else None
        if delta.reasoning:
            yield self._chunk(self._reasoning(delta.reasoning), info)
            info = None
        if delta.text:
            yield self._chunk(self._text(delta.text), info)
            info = None
        if delta.tool_calls:
            yield self._chunk(self._tool_calls(delta.tool_calls), info)
            info = None
        if info is not None:
            yield self._chunk(self._message(), info)
        if delta.final is not None:
            broken = [
                ToolCallDelta(index, None, None, spoilt)
                for index, call in enumerate(delta.final.tool_calls)
                if (spoilt := _spoiling(call))
            ]
            if broken:
                yield self._chunk(self._tool_calls(broken), None)
            yield self._chunk(self._last(delta.final), {"finish_reason": delta.final.finish_reason})

    @staticmethod
    def _chunk(message: AIMessageChunk, info: dict[str, Any] | None) -> ChatGenerationChunk:
        return ChatGenerationChunk(message=message, generation_info=info)

    def _message(self, block: dict[str, Any] | None = None, **fields: Any) -> AIMessageChunk:
        """Return a chunk of blocks, or one without text."""
        if not self._blocks:
            return AIMessageChunk(content="", **fields)
        metadata = {**fields.pop("response_metadata", {}), "output_version": "v1"}
        return AIMessageChunk(content=[] if block is None else [block], response_metadata=metadata, **fields)

    def _text(self, text: str) -> AIMessageChunk:
        if not self._blocks:
            return AIMessageChunk(content=text)
        return self._message({"type": "text", "text": text, "index": self._number("text")})

    def _reasoning(self, reasoning: str) -> AIMessageChunk:
        if not self._blocks:
            return AIMessageChunk(content="", additional_kwargs={"reasoning_content": reasoning})
        return self._message({"type": "reasoning", "reasoning": reasoning, "index": self._number("reasoning")})

    def _tool_calls(self, deltas: list[ToolCallDelta]) -> AIMessageChunk:
        calls = [_call_chunk(delta) for delta in deltas]
        message = self._message(tool_call_chunks=calls)
        if self._blocks:
            message.content = [
                {**call, "type": "tool_call_chunk", "index": self._number(("call", call["index"]))} for call in calls
            ]
        return message

    def _last(self, final: ChatResult) -> AIMessageChunk:
        metadata = metadata_from_wire(final, self._uid)
        metadata.pop("logprobs", None)  # sent with each token
        if self._headers:
            metadata["headers"] = headers_from_wire(final)
        return self._message(
            response_metadata=metadata,
            usage_metadata=usage_from_wire(final.usage) if self._usage else None,
            chunk_position="last",
        )

    def _number(self, kind: object) -> int:
        """Return the index of the block of this kind, in order of first appearance."""
        return self._numbers.setdefault(kind, len(self._numbers))


#: The fields of a text chunk other than its text and its containers.
_SPOKEN = AIMessageChunk(content="").__dict__
_GENERATED = ChatGenerationChunk(message=AIMessageChunk(content="")).__dict__


def _text_chunk(text: str) -> ChatGenerationChunk:
    """Return the chunk that the constructors would build, without validation, which takes half of the time.

    Only for a value known to be a `str`. Works like pydantic's copy; `model_construct` of a message takes 80
    times as long as its validation.
    """
    message = _new(AIMessageChunk)
    _set(
        message,
        "__dict__",
        {
            **_SPOKEN,
            "content": text,
            "additional_kwargs": {},
            "response_metadata": {},
            "tool_calls": [],
            "invalid_tool_calls": [],
            "tool_call_chunks": [],
        },
    )
    _set(message, "__pydantic_fields_set__", {"content"})
    _set(message, "__pydantic_extra__", {})
    _set(message, "__pydantic_private__", None)
    chunk = _new(ChatGenerationChunk)
    _set(chunk, "__dict__", {**_GENERATED, "text": text, "message": message})
    _set(chunk, "__pydantic_fields_set__", {"message", "text"})
    _set(chunk, "__pydantic_extra__", None)
    _set(chunk, "__pydantic_private__", None)
    return chunk


_new = object.__new__
_set = object.__setattr__


def _call_chunk(delta: ToolCallDelta) -> ToolCallChunk:
    return tool_call_chunk(name=delta.name, args=delta.arguments, id=delta.id, index=delta.index)


def _spoiling(call: ToolCall) -> str:
    """Return what makes LangChain treat the arguments of an invalid call as invalid too.

    When chunks are joined, LangChain completes truncated JSON: `{"path": "/home/me` at max_tokens would become a
    valid call with half a path. Its parser rejects an unmatched closing bracket.
    """
    if call.error is None:
        return ""
    if too_deep(call.arguments):
        # LangChain's parser may reach the end or not, by the stack it stands on: a pair that never matches.
        in_string, _ = json_depth(call.arguments)
        return '"[}' if in_string else "[}"
    for ending in ("", "]", '"]', '""]'):
        if not _completes(call.arguments + ending):
            return ending
    return ""


def _completes(arguments: str) -> bool:
    try:
        return isinstance(parse_partial_json(arguments), dict) if arguments else True
    except ValueError:
        return False
