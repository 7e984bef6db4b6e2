"""One turn of a chat as it is asked for, before it is known which engine answers. Pure."""

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
    """The choice of one tool by its name."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedTool


def tool_choice_from(value: Any, names: Collection[str]) -> ToolChoice | None:
    """What the frameworks' users write as a tool choice, understood: a word, a tool's name, or OpenAI's object.

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
        msg = f"tool_choice={value!r} is neither auto, none, required nor the name of a tool: {given}."
        raise XinferenceBadRequestError(msg)
    return choice


#: "any" is LangChain's and Anthropic's word, and invalid at the server.
_CHOICES: dict[str, ToolChoice] = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


@dataclass(frozen=True, slots=True)
class StructuredOutput:
    """An answer wanted as JSON of this schema; `method` None leaves the way to what the engine enforces."""

    name: str
    schema: JSON
    description: str = ""
    strict: bool | None = None
    method: StructuredMethod | None = None


@dataclass(frozen=True, slots=True)
class ChatCall:
    """One turn of a chat, before it is known which engine answers."""

    messages: Sequence[WireMessage]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Sampling and other parameters under their wire names; absent is the server's default."""
    tools: Sequence[WireTool] = ()
    tool_choice: ToolChoice | None = None
    structured: StructuredOutput | None = None
    context_length: int | None = None
    """Tokens that one request may hold, where the caller knows better than the model's description."""


#: Part of a message → the ability that a model needs for it.
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
    """The messages with their text alone; the very same where they hold nothing else."""
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
