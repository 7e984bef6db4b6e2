"""Convert the content of a LangChain message to wire parts. Pure. A block that cannot be sent raises an error.

Accepts OpenAI's parts, LangChain's standard blocks (v1) and their predecessors (v0, with `source_type`), and
Anthropic's `source` objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from xinference_bridge.errors import XinferenceUnsupportedError
from xinference_bridge.protocol.chat.messages import data_url, media_part, text_part
from xinference_bridge.protocol.http import JSON

#: Blocks of an answer that are not sent in its content, but as `tool_calls` or `reasoning_content`.
_ELSEWHERE = frozenset({"tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "input_json_delta"})
_REASONING = {"reasoning": "reasoning", "thinking": "thinking", "reasoning_content": "reasoning_content"}


def parts_of(message: BaseMessage) -> list[JSON]:
    """Return the parts of the content, in order, without an answer's tool calls and reasoning.

    Raises XinferenceUnsupportedError with the type of a block that cannot be sent.
    """
    content = message.content
    if isinstance(content, str):
        return [text_part(content)] if content else []
    parts = []
    for block in content:
        if isinstance(block, str):
            parts.append(text_part(block))
            continue
        kind = block.get("type")
        if isinstance(message, AIMessage) and (kind in _ELSEWHERE or kind in _REASONING):
            continue
        convert = _BY_TYPE.get(str(kind))
        if convert is None:
            raise _unsupported(block, message)
        parts.append(convert(block, message))
    return parts


def refuse_media(messages: Sequence[BaseMessage]) -> None:
    """Raise XinferenceUnsupportedError for a media block, which LangChain drops from a prompt made of messages."""
    for place, message in enumerate(messages):
        for block in message.content if isinstance(message.content, list) else ():
            kind = block.get("type") if isinstance(block, Mapping) else "text"
            if kind in _MEDIA:
                msg = (
                    f"The content block of type {kind!r} in message {place} cannot be sent: this model completes text. "
                    "Use ChatXinference with a model that accepts it."
                )
                raise XinferenceUnsupportedError(msg)


def reasoning_of(message: BaseMessage) -> str | None:
    """Return an answer's reasoning, from v1 blocks or, in v0, from `additional_kwargs`."""
    if isinstance(message.content, list):
        said = [
            str(block.get(_REASONING[block["type"]]) or "")
            for block in message.content
            if isinstance(block, dict) and block.get("type") in _REASONING
        ]
        if any(said):
            return "".join(said)
    kept = message.additional_kwargs.get("reasoning_content")
    return kept if isinstance(kept, str) and kept else None


def _text(block: Mapping[str, Any], message: BaseMessage) -> JSON:
    text = block.get("text")
    if not isinstance(text, str):
        raise _unsupported(block, message, "it has no text")
    return text_part(text)


def _openai_media(block: Mapping[str, Any], message: BaseMessage) -> JSON:
    kind = block["type"]
    inner = block.get(kind)
    if isinstance(inner, str):
        return media_part(kind, inner)
    if not isinstance(inner, Mapping) or not isinstance(inner.get("url"), str):
        raise _unsupported(block, message, "it has no url")
    more = dict(inner)
    return media_part(kind, more.pop("url"), **more)


def _input_audio(block: Mapping[str, Any], message: BaseMessage) -> JSON:
    # 4.1.0 drops OpenAI's part with a line in its log; it reads audio from its URL.
    inner = block.get("input_audio")
    if not isinstance(inner, Mapping) or not isinstance(inner.get("data"), str):
        raise _unsupported(block, message, "it has no data")
    return media_part("audio_url", data_url(f"audio/{inner.get('format') or 'wav'}", inner["data"]))


def _image(block: Mapping[str, Any], message: BaseMessage) -> JSON:
    return media_part("image_url", _url_of(block, message, "image/jpeg"), detail=block.get("detail"))


def _video(block: Mapping[str, Any], message: BaseMessage) -> JSON:
    return media_part("video_url", _url_of(block, message, "video/mp4"))


def _audio(block: Mapping[str, Any], message: BaseMessage) -> JSON:
    return media_part("audio_url", _url_of(block, message, "audio/wav"))


def _plain_text(block: Mapping[str, Any], message: BaseMessage) -> JSON:
    if not isinstance(block.get("text"), str):
        raise _unsupported(block, message, "the server does not read text files; send their text")
    return text_part(block["text"])


def _file(block: Mapping[str, Any], message: BaseMessage) -> JSON:
    # v0 blocks of plain text; Xinference accepts no other files.
    if block.get("source_type") == "text" and isinstance(block.get("text"), str):
        return text_part(block["text"])
    raise _unsupported(block, message, "the server does not accept files; send their text")


_BY_TYPE: dict[str, Callable[[Mapping[str, Any], BaseMessage], JSON]] = {
    "text": _text,
    "text-plain": _plain_text,
    "image": _image,
    "audio": _audio,
    "video": _video,
    "file": _file,
    "image_url": _openai_media,
    "audio_url": _openai_media,
    "video_url": _openai_media,
    "input_audio": _input_audio,
}


_MEDIA = frozenset(_BY_TYPE) - {"text", "text-plain"}


def _given_url(block: Mapping[str, Any]) -> str | None:
    source = block.get("source")
    url = block.get("url") or (source.get("url") if isinstance(source, Mapping) else None)
    return url if isinstance(url, str) else None


def _url_of(block: Mapping[str, Any], message: BaseMessage, usual: str) -> str:
    url = _given_url(block)
    if url is not None:
        return url
    data, mimetype = _data_of(block, message, usual)
    return data_url(mimetype, data)


def _data_of(block: Mapping[str, Any], message: BaseMessage, usual: str) -> tuple[str, str]:
    """Return the base64 data and its MIME type: `base64` in v1 blocks, `data` in v0, inside `source` in Anthropic's."""
    source = block.get("source")
    inner = source if isinstance(source, Mapping) else block
    data = inner.get("base64", inner.get("data"))
    if not isinstance(data, str):
        raise _unsupported(block, message, "it has neither url nor base64")
    return data, str(inner.get("mime_type") or inner.get("media_type") or usual)


def _unsupported(block: Mapping[str, Any], message: BaseMessage, why: str = "") -> XinferenceUnsupportedError:
    reason = f": {why}" if why else ""
    msg = (
        f"A content block of type {block.get('type')!r} in a message of type {message.type!r} cannot be sent to a "
        f"Xinference server{reason}. It takes {', '.join(sorted(_BY_TYPE))}."
    )
    return XinferenceUnsupportedError(msg)
