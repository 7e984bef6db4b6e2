"""Convert LlamaIndex's tools for the server, and answers to the tool calls that agents run. Pure."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.utils import parse_partial_json
from llama_index.core.tools.types import BaseTool

from llamaindex_xinference_bridge._messages import kwargs_call_to_wire
from xinference_bridge.protocol.chat.messages import WireTool
from xinference_bridge.protocol.http import JSON

_log = logging.getLogger(__name__)


def tool_to_wire(tool: BaseTool | Mapping[str, Any]) -> WireTool:
    """Return a tool in the server's form. A tool that already has this form is unchanged."""
    wire = tool if isinstance(tool, Mapping) else tool.metadata.to_openai_tool(skip_length_check=True)
    return cast("WireTool", wire)


def tool_keywords(
    tools: Sequence[BaseTool],
    user_msg: str | ChatMessage | None,
    chat_history: Sequence[ChatMessage] | None,
    *,
    allow_parallel_tool_calls: bool,
    tool_required: bool,
    tool_choice: str | Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the keywords of `chat` for tools. The caller's `tool_choice` overrides `tool_required`."""
    messages = list(chat_history or ())
    if user_msg is not None:
        message = ChatMessage(role=MessageRole.USER, content=user_msg) if isinstance(user_msg, str) else user_msg
        messages.append(message)
    keywords: dict[str, Any] = {"messages": messages}
    if not tools:
        return keywords
    keywords["tools"] = [tool_to_wire(tool) for tool in tools]
    choice = "required" if tool_required and tool_choice is None else tool_choice
    if choice is not None:
        keywords["tool_choice"] = choice
    if not allow_parallel_tool_calls:
        keywords["parallel_tool_calls"] = False
    return keywords


def wants_one_call(keywords: Mapping[str, Any]) -> bool:
    """Return whether the keywords of a call rule out several tool calls."""
    return keywords.get("parallel_tool_calls") is False


def selections_from_response(response: ChatResponse) -> list[ToolSelection]:
    """Return the tool calls of a complete or partial answer.

    A call with invalid arguments gets no arguments, as in LlamaIndex's own integrations: the tool then reports which
    are missing, and the model can correct its call. A partial call gets the arguments so far.
    """
    message = response.message
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)] or _calls_from_kwargs(message)
    errors = _errors(message)
    selections = []
    for block in calls:
        arguments = block.tool_kwargs if isinstance(block.tool_kwargs, dict) else _known_so_far(block, errors)
        selections.append(
            ToolSelection(tool_id=block.tool_call_id or "", tool_name=block.tool_name, tool_kwargs=arguments)
        )
    return selections


def _calls_from_kwargs(message: ChatMessage) -> list[ToolCallBlock]:
    """Return the calls of a message from another integration, which has them only there."""
    calls = [kwargs_call_to_wire(call) for call in message.additional_kwargs.get("tool_calls") or ()]
    return [
        ToolCallBlock(
            tool_call_id=call["id"], tool_name=call["function"]["name"], tool_kwargs=call["function"]["arguments"]
        )
        for call in calls
    ]


def _errors(message: ChatMessage) -> dict[str, str]:
    """Return the reasons for invalid arguments by call id; empty for a partial message."""
    calls = message.additional_kwargs.get("tool_calls") or ()
    return {call["id"]: call["error"] for call in calls if isinstance(call, Mapping) and "error" in call}


def _known_so_far(block: ToolCallBlock, errors: Mapping[str, str]) -> JSON:
    error = errors.get(block.tool_call_id or "")
    if error is not None:
        _log.warning("The model's call of %r has invalid arguments and runs without them: %s", block.tool_name, error)
        return {}
    try:
        arguments: Any = parse_partial_json(str(block.tool_kwargs))
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}
