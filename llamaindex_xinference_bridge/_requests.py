"""The keywords of a method → the call that the core sends. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage

from llamaindex_xinference_bridge._messages import messages_to_wire
from llamaindex_xinference_bridge._tools import tool_to_wire
from xinference_bridge.connection_settings import CallOptions
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
    """One turn of a chat: `keywords` come before what the model `stated`.

    Besides parameters: `tools`, `tool_choice`, `structured_output`, and what concerns waiting (`timeout`, …).
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


def completion_call(stated: Mapping[str, Any], keywords: Mapping[str, Any]) -> tuple[JSON, CallOptions]:
    """The parameters of a completion, and how long to wait for it."""
    given = dict(keywords)
    options = options_from(given, _OWNER)
    return merged(COMPLETION, stated, given, where=_OWNER), options
