"""The messages of a chat as they travel, built in one way for both bridges: one history, the same bytes. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from xinference_bridge.protocol.chat.tool_forms.written import why_unreadable
from xinference_bridge.protocol.http import JSON


class WireFunctionCall(TypedDict):
    """The function of a tool call; `arguments` is JSON as text."""

    name: str
    arguments: str


class WireToolCall(TypedDict):
    """A tool call in an assistant message that is sent back."""

    id: str
    type: Literal["function"]
    function: WireFunctionCall


class WireMessage(TypedDict, total=False):
    """One message of a chat; `role` is always there, `content` is text or a list of parts."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[JSON] | None
    name: str
    tool_calls: list[WireToolCall]
    tool_call_id: str
    reasoning_content: str


class WireFunction(TypedDict, total=False):
    """What a tool is: a name, a description, and a JSON schema of its parameters."""

    name: str
    description: str
    parameters: JSON
    strict: bool


class WireTool(TypedDict):
    """A tool as the server takes it."""

    type: Literal["function"]
    function: WireFunction


def assistant_message(
    content: str, tool_calls: Sequence[WireToolCall] = (), reasoning: str | None = None
) -> WireMessage:
    """An answer sent back as history; its content is never null, which chat templates that search it fail at."""
    message: WireMessage = {"role": "assistant", "content": content}
    if reasoning:
        message["reasoning_content"] = reasoning
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    return message


def tool_message(content: str | list[JSON], tool_call_id: str) -> WireMessage:
    """What a tool answered to the call of this id."""
    return {"role": "tool", "tool_call_id": tool_call_id, "content": content}


def with_tool_names(messages: Sequence[WireMessage]) -> list[WireMessage]:
    """Return the messages, those of tools with the `name` of the call that they answer; a name that is there stays.

    The templates of qwen1.5-chat and qwen2-instruct, among others, refuse a tool message without one: an opaque 500.
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
    """Arguments as JSON text, spaced as models write it and as chat templates print it.

    The transformers engine hands this text to the template as it is: other spacing would be words that the model
    never said.
    """
    return json.dumps(arguments, ensure_ascii=False, default=str)


def content_of_parts(parts: Sequence[JSON], joint: str = "\n") -> str | list[JSON]:
    """The content of a message: texts alone as one text, which every chat template takes, and else the parts."""
    if all(part["type"] == "text" for part in parts):
        return joint.join(str(part["text"]) for part in parts)
    return list(parts)


def text_part(text: str) -> JSON:
    """Text beside other parts."""
    return {"type": "text", "text": text}


_MediaKind = Literal["image_url", "audio_url", "video_url"]


def media_part(kind: _MediaKind, url: str, **more: Any) -> JSON:
    """An image, a sound or a film, by its URL or as a `data:` URL; `more` goes beside it where it is not None.

    4.1.0 reads sound from `audio_url` alone: OpenAI's `input_audio` it drops, with a line in its own log.
    """
    return {"type": kind, kind: {"url": url, **{name: value for name, value in more.items() if value is not None}}}


def data_url(mimetype: str, base64_text: str) -> str:
    """A URL that holds the bytes themselves."""
    return f"data:{mimetype};base64,{base64_text}"
