"""Convert the keywords of a method to the core's call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, TextBlock

from llamaindex_xinference_bridge._messages import messages_to_wire
from llamaindex_xinference_bridge._tools import tool_to_wire
from xinference_bridge.connection_settings import CallOptions
from xinference_bridge.errors import XinferenceUnsupportedError
from xinference_bridge.integration.inline_media import ainline_media, inline_media
from xinference_bridge.integration.parameters import CHAT, COMPLETION, merged, options_from
from xinference_bridge.protocol.chat.request import ChatCall, tool_choice_from
from xinference_bridge.protocol.http import JSON

_OWNER = "XinferenceLLM"


def chat_call(
    messages: Sequence[ChatMessage],
    stated: Mapping[str, Any],
    keywords: Mapping[str, Any],
    context_length: int | None = None,
) -> tuple[ChatCall, CallOptions]:
    """Return the call of a chat. `keywords` override the model's parameters in `stated`.

    Keywords may include `tools`, `tool_choice`, `structured_output`, and timeouts and retries.
    """
    given = dict(keywords)
    options = options_from(given, _OWNER)
    tools = [tool_to_wire(tool) for tool in given.pop("tools", None) or ()]
    names = [str(tool["function"].get("name")) for tool in tools]
    choice = tool_choice_from(given.pop("tool_choice", None), names)
    structured = given.pop("structured_output", None)
    parameters = merged(CHAT, stated, given, where=_OWNER)
    call = ChatCall(messages_to_wire(messages), parameters, tools, choice, structured, context_length)
    return call, options


def with_inlined_media(call: ChatCall, allowed: bool | tuple[str, ...] | None) -> ChatCall:
    """Return the call with its files and private URLs inlined, if allowed; see `inline_media`."""
    messages = inline_media(call.messages, allowed)
    return call if messages is call.messages else replace(call, messages=messages)


async def awith_inlined_media(call: ChatCall, allowed: bool | tuple[str, ...] | None) -> ChatCall:
    """Async version of `with_inlined_media`."""
    messages = await ainline_media(call.messages, allowed)
    return call if messages is call.messages else replace(call, messages=messages)


def messages_of_text(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return the messages to join into one prompt, with an empty text for those without: llama-index-core has "None".

    Thoughts are left out.

    Raises:
        XinferenceUnsupportedError: A message has a tool call, media, or another block whose content would be lost.
    """
    for place, message in enumerate(messages):
        for block in message.blocks:
            if block.block_type not in _IN_PROMPTS:
                raise _not_in_a_prompt(f"The {type(block).__name__}", place)
        if message.additional_kwargs.get("tool_calls"):
            raise _not_in_a_prompt("additional_kwargs['tool_calls']", place)
    return [
        message if message.content is not None else message.model_copy(update={"blocks": [TextBlock(text="")]})
        for message in messages
    ]


#: Text, and what may be left out: thoughts, and marks for a cache that Xinference has not.
_IN_PROMPTS = frozenset({"text", "thinking", "cache"})


def _not_in_a_prompt(what: str, place: int) -> XinferenceUnsupportedError:
    msg = (
        f"{what} of message {place} cannot be sent: this model completes text, and takes no media and no tool calls. "
        "Use a chat model with the ability for it."
    )
    return XinferenceUnsupportedError(msg)


def completion_call(stated: Mapping[str, Any], keywords: Mapping[str, Any], model_uid: str) -> tuple[JSON, CallOptions]:
    """Return the parameters and the options of a completion. Raise XinferenceUnsupportedError for what takes a chat."""
    given = dict(keywords)
    for name, advice in _OF_CHATS.items():
        if given.pop(name, None):
            msg = f"{model_uid!r} only completes text, and takes no {name}: use a chat model{advice}."
            raise XinferenceUnsupportedError(msg)
    options = options_from(given, _OWNER)
    return merged(COMPLETION, stated, given, where=_OWNER), options


_PROGRAM = ", or pydantic_program_mode=PydanticProgramMode.LLM, which asks for the object in the prompt"
_AGENT = ", or a ReActAgent, which describes the tools in the prompt"
#: Keywords that only the chat endpoint takes, in the order in which they are named, and what to do without a chat.
_OF_CHATS = {"structured_output": _PROGRAM, "tools": _AGENT, "tool_choice": _AGENT}
