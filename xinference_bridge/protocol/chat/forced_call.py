"""Convert a forced tool call that an engine enforced as JSON, `{"name": …, "arguments": {…}}`, to a tool call. Pure.

llama.cpp (4.1.0) enforces a schema from the first token, and `tool_choice` not at all: SmolLM2 wrote 500 tokens of
prose under "required", and held the schema every time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from xinference_bridge.protocol.chat.messages import WireMessage, WireTool, text_part
from xinference_bridge.protocol.chat.result import ChatDelta, ChatResult
from xinference_bridge.protocol.chat.tool_calls import ToolCall, ToolCallDelta
from xinference_bridge.protocol.chat.tool_forms.written import why_unreadable

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\S)')
_JSON = json.JSONDecoder()
_UNFINISHED = "the arguments are not JSON: the answer ended before they did"


# The words of the most widespread template with tools (Qwen's, Hermes'), which most models have seen; "within
# <tool_call></tool_call>" is left out, for the schema admits no tag.
_INSTRUCTION = """\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, return a json object with function name and arguments:
{{"name": <function-name>, "arguments": <args-json-object>}}"""


def with_call_instruction(messages: Sequence[WireMessage], tools: Sequence[WireTool]) -> list[WireMessage]:
    """Return the messages with a description of the tools, because the model does not see the schema."""
    written = "\n".join(json.dumps(tool, ensure_ascii=False, default=str) for tool in tools)
    return with_system_words(messages, _INSTRUCTION.format(tools=written))


def with_system_words(messages: Sequence[WireMessage], words: str) -> list[WireMessage]:
    """Return the messages with this text at the end of the first system message, or in a new one."""
    first = messages[0] if messages else None
    if first is not None and first["role"] == "system":
        said = first.get("content") or ""
        content = [*said, text_part(words)] if isinstance(said, list) else f"{said}\n\n{words}".lstrip()
        return [{**first, "content": content}, *messages[1:]]
    return [{"role": "system", "content": words}, *messages]


def read_call(result: ChatResult, *, reasoning_is_answer: bool) -> None:
    """Convert the JSON of a complete answer to its tool call, in place. Any other answer does not change.

    Args:
        result: The answer as it was read.
        reasoning_is_answer: Whether no thought can have come before the JSON, so that what the server calls reasoning
            is the answer: llama.cpp with `reasoning_content: true` hands the whole answer over as reasoning.
    """
    text = result.text
    if reasoning_is_answer and not text.strip():
        text = result.reasoning
    call = _call_from_json(text, _call_id(result.id))
    if call is None:
        return
    if reasoning_is_answer:
        result.reasoning = ""
    result.text, result.tool_calls = "", [call]
    if result.finish_reason == "stop":
        result.finish_reason = "tool_calls"


def _call_id(answer_id: str | None) -> str:
    # Derived from the call, because a random id would differ in every replay of a recording.
    return f"call_{answer_id}_0" if answer_id else "call_0"


def _call_from_json(text: str, call_id: str) -> ToolCall | None:
    head = _HEAD.match(text)
    if head is None:
        return _call_in_another_order(text, call_id)
    name = _JSON.decode(head[1])
    rest = text[head.end() :]
    try:
        _, end = _JSON.raw_decode(rest)
    except ValueError:
        return ToolCall(call_id, name, rest, _UNFINISHED)
    except RecursionError:
        return ToolCall(call_id, name, rest, why_unreadable(rest))
    own = rest[:end]  # to the letter: a number of any size stays what it is
    return ToolCall(call_id, name, own, why_unreadable(own))


def _call_in_another_order(text: str, call_id: str) -> ToolCall | None:
    try:
        value = _JSON.decode(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    if not isinstance(value.get("arguments"), dict):
        return None
    arguments = json.dumps(value["arguments"])
    return ToolCall(call_id, value["name"], arguments, why_unreadable(arguments))


class GrowingAnswer(Protocol):
    """What reads the chunks of a stream: an accumulator, or what stands around one."""

    @property
    def text(self) -> str:
        """The text so far."""

    def mark_done(self) -> None:
        """Record that the server sent `[DONE]`."""

    def feed(self, event: Mapping[str, Any]) -> ChatDelta | None:
        """Return what this chunk adds."""

    def finish(self) -> ChatDelta:
        """Return what was held back, and the whole answer."""


class ForcedCallAnswer:
    """Wraps an accumulator and emits the growing JSON as fragments of a tool call."""

    def __init__(self, answer: GrowingAnswer, *, reasoning_is_answer: bool) -> None:
        self._answer = answer
        self._reasoning_is_answer = reasoning_is_answer
        self._id: str | None = None
        self._said = ""
        self._begin: int | None = None
        self._told = 0

    @property
    def text(self) -> str:
        """The JSON so far, which is what the model said."""
        return self._said

    def mark_done(self) -> None:
        """Record that the server sent `[DONE]`."""
        self._answer.mark_done()

    def feed(self, event: Mapping[str, Any]) -> ChatDelta | None:
        """Return what this chunk adds to the call."""
        delta = self._answer.feed(event)
        answer_id = event.get("id")
        if self._id is None and isinstance(answer_id, str):
            self._id = answer_id
        if delta is None:
            return None
        self._take(delta)
        return delta if delta.reasoning or delta.tool_calls or delta.logprobs is not None else None

    def finish(self) -> ChatDelta:
        """Return the rest of the call, and the whole answer as `final`."""
        last = self._answer.finish()
        if self._reasoning_is_answer and last.text.strip() == self._said.strip():
            last.text = ""  # a repetition: the accumulator emitted as text what it had emitted as reasoning
        self._take(last)
        final = last.final
        if final is None:
            return last
        if self._reasoning_is_answer:
            final.text, final.reasoning = final.text if final.text.strip() else self._said, ""
        read_call(final, reasoning_is_answer=False)
        if not final.tool_calls:
            last.text = final.text  # no call: what was held back is the answer's text after all
            return last
        call = final.tool_calls[0]
        call.id = _call_id(self._id)
        if self._begin is None:
            last.tool_calls.append(ToolCallDelta(0, call.id, call.name, call.arguments))
        elif self._told < len(call.arguments):
            last.tool_calls.append(ToolCallDelta(0, None, None, call.arguments[self._told :]))
        return last

    def _take(self, delta: ChatDelta) -> None:
        """Take the text out of a delta, and put in what it adds to the call."""
        if self._reasoning_is_answer:
            self._said += delta.reasoning
            delta.reasoning = ""
        self._said += delta.text
        delta.text = ""
        name = None
        if self._begin is None:
            head = _HEAD.match(self._said)
            if head is None:
                return
            name = _JSON.decode(head[1])
            self._begin = head.end()
        # The last brace is the call's own, not its arguments': what may be it is held back until more comes.
        known = len(self._said[self._begin :].rstrip("} \t\r\n"))
        if name is None and known <= self._told:
            return
        fragment = self._said[self._begin + self._told : self._begin + known]
        delta.tool_calls.append(ToolCallDelta(0, _call_id(self._id) if name is not None else None, name, fragment))
        self._told = max(self._told, known)
