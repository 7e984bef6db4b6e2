"""Images, audio and video in the form that the model's engine reads. Pure. Tested on 4.1.0.

| part | llama.cpp | transformers | vLLM |
|---|---|---|---|
| `image_url`, `video_url` | read | read | read |
| `input_audio` | read | dropped in silence | read |
| `audio_url` | 500 `unsupported content[].type` | a placeholder, no sound loaded | read |
| `{"type": "audio", "audio_url": …}` | not tried | read | read |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from xinference_bridge.errors import XinferenceUnsupportedError
from xinference_bridge.protocol.chat.messages import WireMessage
from xinference_bridge.protocol.engines import Engine
from xinference_bridge.protocol.http import JSON

_READ = ("text", "image_url", "video_url", "audio_url", "input_audio", "audio")
_SOUNDS = ("audio_url", "input_audio", "audio")
#: MIME subtypes under the names that `input_audio` has for them.
_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav"}
_DATA_URL = re.compile(r"data:audio/([a-z0-9.+-]+)[^,]*;base64,", re.IGNORECASE)


def for_engine(messages: Sequence[WireMessage], engine: Engine) -> Sequence[WireMessage]:
    """Return the messages with audio in the form that this engine reads; the same object if there is none.

    Raises:
        XinferenceUnsupportedError: A part that an engine drops in silence, or a sound by a URL that llama.cpp does not
            fetch.
    """
    if not any(isinstance(message.get("content"), list) for message in messages):
        return messages
    return [_message(message, engine) for message in messages]


def _message(message: WireMessage, engine: Engine) -> WireMessage:
    parts = message.get("content")
    if not isinstance(parts, list):
        return message
    return {**message, "content": [_part(part, engine) for part in parts]}


def _part(part: JSON, engine: Engine) -> JSON:
    kind = part.get("type")
    if kind not in _READ:
        msg = (
            f"A content part of type {kind!r} cannot be sent: the transformers engine silently drops it. It accepts "
            f"{', '.join(_READ)}."
        )
        raise XinferenceUnsupportedError(msg)
    write = _WRITERS.get(engine.name)
    if kind not in _SOUNDS or write is None:
        return part
    url = _url(part)
    return write(url) if url is not None else part


def _url(part: JSON) -> str | None:
    """Return the URL or data of an audio part in any form."""
    inner: Any = part.get("input_audio")
    if isinstance(inner, dict) and isinstance(inner.get("data"), str):
        return f"data:audio/{inner.get('format') or 'wav'};base64,{inner['data']}"
    inner = part.get("audio_url")
    url = inner.get("url") if isinstance(inner, dict) else inner
    return url if isinstance(url, str) else None


def _input_audio(url: str) -> JSON:
    inline = _DATA_URL.match(url)
    if inline is None:
        msg = (
            f"llama.cpp reads sound that stands in the request itself, not by a URL ({url[:80]!r}): give it as a data: "
            "URL or as base64."
        )
        raise XinferenceUnsupportedError(msg)
    subtype = inline[1].lower()
    return {
        "type": "input_audio",
        "input_audio": {"data": url[inline.end() :], "format": _FORMATS.get(subtype, subtype)},
    }


_WRITERS: dict[str, Callable[[str], JSON]] = {
    "llama.cpp": _input_audio,
    "transformers": lambda url: {"type": "audio", "audio_url": {"url": url}},
    "vllm": lambda url: {"type": "audio_url", "audio_url": {"url": url}},
    "sglang": lambda url: {"type": "audio_url", "audio_url": {"url": url}},
}
