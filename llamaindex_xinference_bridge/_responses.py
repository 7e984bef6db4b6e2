"""Convert answers to LlamaIndex's responses, in streams with the text so far. Pure."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse

from llamaindex_xinference_bridge._messages import (
    assistant_message,
    logprobs_from_wire,
    message_from_wire,
    usage_from_wire,
)
from xinference_bridge.integration.unvalidated import unchecked
from xinference_bridge.protocol.chat.result import ChatDelta, ChatResult
from xinference_bridge.protocol.chat.tool_calls import ToolCall, ToolCallDelta


def chat_response(answer: ChatResult, *, one_call: bool = False) -> ChatResponse:
    """Return the complete answer. `raw` is the server's JSON; `additional_kwargs` has token counts and finish reason.

    `one_call` keeps at most one tool call.
    """
    return _chat_response(answer, None, one_call=one_call)


def completion_response(answer: ChatResult) -> CompletionResponse:
    """Return the complete answer as text, with the reasoning in `additional_kwargs["reasoning"]`."""
    return _completion_response(answer, None)


class GrowingChat:
    """Converts deltas to responses; `one_call` as in `chat_response`."""

    __slots__ = ("_calls", "_one_call", "_reasoning", "_text")

    def __init__(self, *, one_call: bool = False) -> None:
        self._text = ""
        self._reasoning = ""
        self._calls: dict[int, ToolCall] = {}
        self._one_call = one_call

    def take(self, delta: ChatDelta) -> ChatResponse:
        """Return the response so far, with the new text as `delta`."""
        if delta.final is not None:
            return _chat_response(delta.final, delta.text, one_call=self._one_call)
        self._text += delta.text
        kwargs: dict[str, Any] = {}
        if delta.reasoning:
            self._reasoning += delta.reasoning
            kwargs["thinking_delta"] = delta.reasoning  # llama-index-core's agents read it there
        for fragment in delta.tool_calls:
            self._add(fragment)
        response: ChatResponse = unchecked(
            ChatResponse,
            message=assistant_message(self._text, self._reasoning, list(self._calls.values()), whole=False),
            raw=None,
            delta=delta.text,
            logprobs=logprobs_from_wire(delta.logprobs),
            additional_kwargs=kwargs,
        )
        return response

    def _add(self, fragment: ToolCallDelta) -> None:
        if self._one_call and fragment.index > 0:
            return
        call = self._calls.get(fragment.index)
        if call is None:
            self._calls[fragment.index] = ToolCall(fragment.id or "", fragment.name or "", fragment.arguments)
        else:
            call.arguments += fragment.arguments


class GrowingCompletion:
    """Converts deltas to text responses."""

    __slots__ = ("_text",)

    def __init__(self) -> None:
        self._text = ""

    def take(self, delta: ChatDelta) -> CompletionResponse:
        """Return the response so far, with the new text as `delta`."""
        if delta.final is not None:
            return _completion_response(delta.final, delta.text)
        self._text += delta.text
        response: CompletionResponse = unchecked(
            CompletionResponse,
            text=self._text,
            additional_kwargs={"thinking_delta": delta.reasoning} if delta.reasoning else {},
            raw=None,
            logprobs=logprobs_from_wire(delta.logprobs),
            delta=delta.text,
        )
        return response


def _chat_response(answer: ChatResult, delta: str | None, *, one_call: bool) -> ChatResponse:
    if one_call:
        # llama.cpp and transformers ignore `parallel_tool_calls: false` (4.1.0) and may return two calls.
        answer.tool_calls = answer.tool_calls[:1]
    response: ChatResponse = unchecked(
        ChatResponse,
        message=message_from_wire(answer),
        raw=answer.raw,
        delta=delta,
        logprobs=logprobs_from_wire(answer.logprobs),
        additional_kwargs=usage_from_wire(answer),
    )
    return response


def _completion_response(answer: ChatResult, delta: str | None) -> CompletionResponse:
    told = usage_from_wire(answer)
    if answer.reasoning:
        told["reasoning"] = answer.reasoning
    response: CompletionResponse = unchecked(
        CompletionResponse,
        text=answer.text,
        additional_kwargs=told,
        raw=answer.raw,
        logprobs=logprobs_from_wire(answer.logprobs),
        delta=delta,
    )
    return response
