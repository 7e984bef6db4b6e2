"""A chat call, before the engine is known. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from xinference_bridge.errors import XinferenceBadRequestError
from xinference_bridge.protocol.chat.messages import WireMessage, WireTool
from xinference_bridge.protocol.http import JSON

StructuredMethod = Literal["json_schema", "function_calling", "json_mode"]


@dataclass(frozen=True, slots=True)
class NamedTool:
    """A tool choice by name."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedTool


def tool_choice_from(value: Any, names: Collection[str]) -> ToolChoice | None:
    """Parse a tool choice: a keyword, a tool's name, or OpenAI's object.

    Raises XinferenceBadRequestError with the list of tools if it names none of them.
    """
    if value is None or isinstance(value, NamedTool):
        return value
    if isinstance(value, bool):
        return "required" if value else "none"
    if isinstance(value, Mapping):
        function = value.get("function")
        value = function.get("name") if isinstance(function, Mapping) else value.get("name", value.get("type"))
    if value in names:
        return NamedTool(value)
    choice = _CHOICES.get(value) if isinstance(value, str) else None
    if choice is None:
        given = ", ".join(sorted(names)) or "none was given"
        msg = f"tool_choice={value!r} must be auto, none, required or the name of a tool: {given}."
        raise XinferenceBadRequestError(msg)
    return choice


#: "any" is LangChain's and Anthropic's keyword, which the server does not accept.
_CHOICES: dict[str, ToolChoice] = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


@dataclass(frozen=True, slots=True)
class StructuredOutput:
    """A requested JSON answer with this schema. With `method=None` the engine decides the method."""

    name: str
    schema: JSON
    description: str = ""
    strict: bool | None = None
    method: StructuredMethod | None = None


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A chat call, before the engine is known."""

    messages: Sequence[WireMessage]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Parameters by their wire names. An absent one has the server's default."""
    tools: Sequence[WireTool] = ()
    tool_choice: ToolChoice | None = None
    structured: StructuredOutput | None = None
    context_length: int | None = None
    """Maximum tokens of one request. It overrides the model's description."""


#: Type of a message part → the required ability.
_MEDIA_ABILITY = {
    "image_url": "vision",
    "input_audio": "audio",
    "audio_url": "audio",
    "audio": "audio",
    "video_url": "video",
}


def _media(messages: Sequence[WireMessage]) -> set[str]:
    return {
        str(part.get("type"))
        for message in messages
        if isinstance(parts := message.get("content"), list)
        for part in parts
        if part.get("type") in _MEDIA_ABILITY
    }


def without_media(messages: Sequence[WireMessage]) -> Sequence[WireMessage]:
    """Return the messages with only their text; the same object if they have nothing else."""
    if not _media(messages):
        return messages
    kept: list[WireMessage] = []
    for message in messages:
        parts = message.get("content")
        if isinstance(parts, list):
            parts = [part for part in parts if part.get("type") not in _MEDIA_ABILITY]
        kept.append({**message, "content": parts})
    return kept


def _has_media(call: ChatCall) -> bool:
    return bool(_media(call.messages))


def prompt_bytes(call: ChatCall) -> int:
    """The size of messages and tools in bytes: no fewer than their tokens, since a token holds at least one byte.

    Without pictures and sounds, whose tokens have nothing to do with the bytes of their base64.
    """
    try:
        return len(orjson.dumps([without_media(call.messages), call.tools], default=str))
    except TypeError:  # a lone surrogate: it is refused, by its place, where the request is written
        return 0
