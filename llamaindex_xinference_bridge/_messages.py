"""Convert LlamaIndex's messages to and from wire messages. Pure; the caller's messages do not change."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from io import IOBase
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ImageBlock,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from xinference_bridge.errors import XinferenceConfigurationError, XinferenceUnsupportedError
from xinference_bridge.integration.inline_media import NamedFile
from xinference_bridge.integration.unvalidated import unchecked
from xinference_bridge.protocol.chat import messages as wire_messages
from xinference_bridge.protocol.chat.messages import WireMessage, WireToolCall
from xinference_bridge.protocol.chat.result import ChatResult
from xinference_bridge.protocol.chat.tool_calls import ToolCall
from xinference_bridge.protocol.exact_json import loads_exact
from xinference_bridge.protocol.http import JSON

_ROLES: Mapping[MessageRole, str] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


def messages_to_wire(messages: Sequence[ChatMessage]) -> list[WireMessage]:
    """Convert the history to wire messages, in order."""
    return wire_messages.with_tool_names([message_to_wire(message) for message in messages])


def message_to_wire(message: ChatMessage) -> WireMessage:
    """Convert one message. Raise XinferenceUnsupportedError for a block that cannot be sent."""
    role = _ROLES[message.role]
    if role == "assistant":
        return _assistant_to_wire(message)
    content = wire_messages.content_of_parts([_block_to_wire(block) for block in message.blocks])
    if role == "tool":
        # Some histories from other integrations have only the tool's name.
        name = message.additional_kwargs.get("name") or ""
        wire = wire_messages.tool_message(content, message.additional_kwargs.get("tool_call_id") or name)
        if name:
            wire["name"] = name
        return wire
    return {"role": "system", "content": content} if role == "system" else {"role": "user", "content": content}


def _assistant_to_wire(message: ChatMessage) -> WireMessage:
    texts: list[str] = []
    reasoning: list[str] = []
    calls: list[WireToolCall] = []
    for block in message.blocks:
        if isinstance(block, TextBlock):
            texts.append(block.text)
        elif isinstance(block, ThinkingBlock):
            reasoning.append(block.content or "")
        elif isinstance(block, ToolCallBlock):
            calls.append(_call_to_wire(block))
        else:
            raise _no_place(block, "an assistant's message")
    if not calls:
        # Our own answers have the calls in both places. Blocks take precedence, and each call is sent once.
        calls = [_call_to_wire(call) for call in calls_from_kwargs(message)]
    return wire_messages.assistant_message("".join(texts), calls, "".join(reasoning))


def calls_from_kwargs(message: ChatMessage) -> list[ToolCallBlock]:
    """Return the calls in `additional_kwargs` from other integrations: OpenAI's objects or dicts.

    Raises:
        XinferenceConfigurationError: They are none.
    """
    calls = message.additional_kwargs.get("tool_calls") or ()
    if isinstance(calls, (str, bytes, Mapping)) or not isinstance(calls, Iterable):
        raise _no_call(calls)
    return [_call_from_kwargs(call) for call in calls]


def _call_from_kwargs(call: Any) -> ToolCallBlock:
    try:
        wire = call if isinstance(call, Mapping) else call.model_dump()
        function = wire["function"]
        return ToolCallBlock(
            tool_call_id=wire.get("id") or "", tool_name=function["name"], tool_kwargs=function["arguments"]
        )
    except (AttributeError, LookupError, TypeError, ValueError):
        raise _no_call(call) from None


def _no_call(found: object) -> XinferenceConfigurationError:
    msg = (
        "additional_kwargs['tool_calls'] must be a list of OpenAI's tool calls, each with the 'name' and the "
        f"'arguments' of its 'function', got {type(found).__name__}"
    )
    return XinferenceConfigurationError(msg)


def _call_to_wire(block: ToolCallBlock) -> WireToolCall:
    return wire_messages.tool_call_to_wire(block.tool_call_id or "", block.tool_name, block.tool_kwargs)


def _block_to_wire(block: Any) -> JSON:
    """Convert a block to a content part."""
    for kind, convert in _PARTS.items():
        if isinstance(block, kind):
            return convert(block)
    raise _no_place(block, "a message to the model")


def _image_to_wire(block: ImageBlock) -> JSON:
    url = _url_of(block, block.image, block.image_mimetype or "image/png")
    return wire_messages.media_part("image_url", url, detail=block.detail)


def _audio_to_wire(block: AudioBlock) -> JSON:
    return wire_messages.media_part("audio_url", _url_of(block, block.audio, f"audio/{block.format or 'wav'}"))


def _video_to_wire(block: VideoBlock) -> JSON:
    url = _url_of(block, block.video, block.video_mimetype or "video/mp4")
    return wire_messages.media_part("video_url", url, detail=block.detail, fps=block.fps)


def _url_of(block: ImageBlock | AudioBlock | VideoBlock, held: bytes | IOBase | None, mimetype: str) -> str:
    """Return the bytes as a `data:` URL, or the URL or path to open later."""
    if held is not None:
        text = held if isinstance(held, bytes) else base64.b64encode(_whole(held))
        if text:
            return wire_messages.data_url(mimetype, text.decode())
    elif block.url is not None:
        return str(block.url)
    elif block.path is not None:
        return NamedFile(block.path)
    msg = f"This {type(block).__name__} is empty: pass bytes, a path or a URL."
    raise XinferenceConfigurationError(msg)


def _whole(file: IOBase) -> bytes:
    # From the start, because a message may be sent more than once.
    file.seek(0)
    data = file.read()
    return data.encode() if isinstance(data, str) else data


_PARTS: Mapping[type, Callable[[Any], JSON]] = {
    TextBlock: lambda block: wire_messages.text_part(block.text),
    ImageBlock: _image_to_wire,
    AudioBlock: _audio_to_wire,
    VideoBlock: _video_to_wire,
}


def _no_place(block: Any, where: str) -> XinferenceUnsupportedError:
    kind = type(block).__name__
    msg = (
        f"A {kind} in {where} cannot be sent to a Xinference server. Put its content into a TextBlock, or leave it out."
    )
    return XinferenceUnsupportedError(msg)


# Answers


def message_from_wire(answer: ChatResult) -> ChatMessage:
    """Return the complete answer as an assistant message, with thinking, text and tool calls as blocks."""
    return assistant_message(answer.text, answer.reasoning, answer.tool_calls)


def assistant_message(text: str, reasoning: str, calls: Sequence[ToolCall], *, whole: bool = True) -> ChatMessage:
    """Return the message so far, without validation, because a stream builds one per token.

    `additional_kwargs["tool_calls"]` repeats the calls, because llama-index-core's `stream_structured_predict` and
    memories look only there. Until the answer is `whole`, a call's arguments are text.
    """
    blocks: list[Any] = []
    if reasoning:
        blocks.append(unchecked(ThinkingBlock, content=reasoning))
    if text or not calls:
        blocks.append(unchecked(TextBlock, text=text))
    kwargs: dict[str, Any] = {}
    if calls:
        blocks += [
            ToolCallBlock(tool_call_id=c.id, tool_name=c.name, tool_kwargs=_kwargs_of(c, whole=whole)) for c in calls
        ]
        kwargs["tool_calls"] = [_call_to_kwargs(call) for call in calls]
    message: ChatMessage = unchecked(ChatMessage, role=MessageRole.ASSISTANT, additional_kwargs=kwargs, blocks=blocks)
    return message


def _kwargs_of(call: ToolCall, *, whole: bool) -> dict[str, Any] | str:
    """Return the arguments as a dict if they are valid JSON, else as the model's text."""
    if whole and call.error is None:
        arguments: dict[str, Any] = loads_exact(call.arguments)
        return arguments
    return call.arguments


def _call_to_kwargs(call: ToolCall) -> JSON:
    wire: JSON = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
    if call.error is not None:
        wire["error"] = call.error
    return wire


def usage_from_wire(answer: ChatResult) -> dict[str, Any]:
    """Return the finish reason and the token counts, under the names that LlamaIndex's token counter reads."""
    told: dict[str, Any] = {
        "finish_reason": answer.finish_reason,
        "id": answer.id,
        "model_replica": answer.model_replica,
    }
    if answer.usage is not None:
        told.update(asdict(answer.usage))
    return {name: value for name, value in told.items() if value is not None}


def logprobs_from_wire(entries: list[dict[str, Any]] | None) -> list[list[LogProb]] | None:
    """Return the candidates of each token, most likely first. Without alternatives, only the token."""
    if entries is None:
        return None
    return [[_logprob(candidate) for candidate in entry.get("top_logprobs") or [entry]] for entry in entries]


def _logprob(candidate: Mapping[str, Any]) -> LogProb:
    return LogProb(
        token=candidate.get("token") or "", logprob=candidate.get("logprob") or 0.0, bytes=candidate.get("bytes") or []
    )
