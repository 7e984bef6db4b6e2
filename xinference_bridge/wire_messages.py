"""The messages of a chat as they travel, built in one way for both bridges: one history, the same bytes. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from xinference_bridge.wire import JSON, WireMessage, WireToolCall


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


def tool_call_to_wire(call_id: str, name: str, arguments: Mapping[str, Any] | str) -> WireToolCall:
    """A tool call of the history; arguments that are JSON text already stay as they are."""
    text = arguments if isinstance(arguments, str) else arguments_to_json(arguments)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


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
