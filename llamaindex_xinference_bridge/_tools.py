"""Tools: what LlamaIndex offers → what travels, and an answer → the calls that agents carry out. Pure."""

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
    """A tool as the server takes it; one that is written that way already stays as it is."""
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
    """The keywords of `chat` for a turn with tools: a choice that the caller makes comes before `tool_required`."""
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
    """Whether the keywords of a call rule out several tool calls in one answer."""
    return keywords.get("parallel_tool_calls") is False


def selections_from_response(response: ChatResponse) -> list[ToolSelection]:
    """The tool calls of an answer, whole or still growing.

    A call whose arguments cannot be read gets none, as LlamaIndex's own integrations do it: the tool then says which
    are missing, and the model can mend its call. A growing call gets the arguments that are known so far.
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
    """The calls of a message that another integration made, which has them there alone."""
    calls = [kwargs_call_to_wire(call) for call in message.additional_kwargs.get("tool_calls") or ()]
    return [
        ToolCallBlock(
            tool_call_id=call["id"], tool_name=call["function"]["name"], tool_kwargs=call["function"]["arguments"]
        )
        for call in calls
    ]


def _errors(message: ChatMessage) -> dict[str, str]:
    """Call id → why its arguments cannot be read; of a growing message none."""
    calls = message.additional_kwargs.get("tool_calls") or ()
    return {call["id"]: call["error"] for call in calls if isinstance(call, Mapping) and "error" in call}


def _known_so_far(block: ToolCallBlock, errors: Mapping[str, str]) -> JSON:
    error = errors.get(block.tool_call_id or "")
    if error is not None:
        _log.warning("The model's call of %r is carried out without arguments: %s", block.tool_name, error)
        return {}
    try:
        arguments: Any = parse_partial_json(str(block.tool_kwargs))
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}
