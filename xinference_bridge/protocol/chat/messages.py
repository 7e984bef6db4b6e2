"""Wire messages, built the same way for both bridges. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from xinference_bridge.protocol.chat.tool_forms.written import why_unreadable
from xinference_bridge.protocol.http import JSON


class WireFunctionCall(TypedDict):
    """The function of a tool call; `arguments` is JSON text."""

    name: str
    arguments: str


class WireToolCall(TypedDict):
    """A tool call in an assistant message of the history."""

    id: str
    type: Literal["function"]
    function: WireFunctionCall


class WireMessage(TypedDict, total=False):
    """One message of a chat. `role` is required; `content` is text or a list of parts."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[JSON] | None
    name: str
    tool_calls: list[WireToolCall]
    tool_call_id: str
    reasoning_content: str


class WireFunction(TypedDict, total=False):
    """A tool's name, description and JSON schema of parameters."""

    name: str
    description: str
    parameters: JSON
    strict: bool


class WireTool(TypedDict):
    """A tool in the server's form."""

    type: Literal["function"]
    function: WireFunction


def assistant_message(
    content: str, tool_calls: Sequence[WireToolCall] = (), reasoning: str | None = None
) -> WireMessage:
    """Return an answer as a message of the history. Its content is never null, which some chat templates fail on."""
    message: WireMessage = {"role": "assistant", "content": content}
    if reasoning:
        message["reasoning_content"] = reasoning
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    return message


def tool_message(content: str | list[JSON], tool_call_id: str) -> WireMessage:
    """Return a tool's result for the call with this id."""
    return {"role": "tool", "tool_call_id": tool_call_id, "content": content}


def with_tool_names(messages: Sequence[WireMessage]) -> list[WireMessage]:
    """Return the messages with the `name` of the call in each tool message that lacks it.

    The templates of qwen1.5-chat and qwen2-instruct, among others, reject a tool message without one: an unexplained
    500.
    """
    names: dict[str, str] = {}
    named: list[WireMessage] = []
    for message in messages:
        # Some servers number their calls anew in each answer: of two calls under one id the last one is answered.
        names.update({call["id"]: call["function"]["name"] for call in message.get("tool_calls") or ()})
        name = names.get(message.get("tool_call_id") or "") if message["role"] == "tool" else None
        named.append({**message, "name": name} if name and not message.get("name") else message)
    return named


def tool_call_to_wire(call_id: str, name: str, arguments: Mapping[str, Any] | str) -> WireToolCall:
    """A tool call of the history; arguments that are the JSON text of an object already stay as they are.

    Others travel as a string in an object, to the letter: llama.cpp parses the arguments of a history, and answers an
    opaque 500 to half a call (4.1.0).
    """
    text = arguments if isinstance(arguments, str) else arguments_to_json(arguments)
    if isinstance(arguments, str) and why_unreadable(arguments) is not None:
        text = arguments_to_json({"invalid": arguments})
    return {"id": call_id, "type": "function", "function": {"name": name or "invalid", "arguments": text}}


def arguments_to_json(arguments: Mapping[str, Any]) -> str:
    """Return arguments as JSON text, with the spacing that models and chat templates use.

    The transformers engine hands this text to the template as it is: other spacing would be words that the model
    never said.
    """
    return json.dumps(arguments, ensure_ascii=False, default=str)


def content_of_parts(parts: Sequence[JSON], joint: str = "\n") -> str | list[JSON]:
    """Return the content of a message: one text if all parts are text, because every chat template accepts that."""
    if all(part["type"] == "text" for part in parts):
        return joint.join(str(part["text"]) for part in parts)
    return list(parts)


def text_part(text: str) -> JSON:
    """Return a text part."""
    return {"type": "text", "text": text}


_MediaKind = Literal["image_url", "audio_url", "video_url"]


def media_part(kind: _MediaKind, url: str, **more: Any) -> JSON:
    """Return an image, audio or video part with a URL or a `data:` URL. `more` has further fields, without None.

    4.1.0 reads audio only from `audio_url`; it drops OpenAI's `input_audio`, with a line in its log.
    """
    return {"type": kind, kind: {"url": url, **{name: value for name, value in more.items() if value is not None}}}


def data_url(mimetype: str, base64_text: str) -> str:
    """Return a URL that contains the bytes."""
    return f"data:{mimetype};base64,{base64_text}"
