"""Convert LlamaIndex's tools for the server, and answers to the tool calls that agents run. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.utils import parse_partial_json
from llama_index.core.tools.types import BaseTool

from llamaindex_xinference_bridge._messages import calls_from_kwargs
from xinference_bridge.errors import XinferenceUnsupportedError
from xinference_bridge.protocol.chat.messages import WireTool
from xinference_bridge.protocol.chat.tool_forms.written import why_unreadable
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


@contextmanager
def offered_alone(tools: Sequence[BaseTool]) -> Iterator[None]:
    """Raise XinferenceUnsupportedError for a call that names none of the tools, where llama-index-core has a KeyError.

    What a tool itself raises is part of its output, and never comes here.
    """
    try:
        yield
    except KeyError as unknown:
        offered = ", ".join(repr(tool.metadata.name) for tool in tools)
        msg = f"The model called {unknown.args[0]!r}, which is none of the tools: {offered}."
        raise XinferenceUnsupportedError(msg) from unknown


def selections_from_response(response: ChatResponse, *, refuse: bool = False) -> list[ToolSelection]:
    """Return the tool calls of an answer, whole or still growing.

    A call of a whole answer whose arguments cannot be read is never carried out: its selection names no tool, so that
    an agent tells the model why and lets it mend the call. A growing call gets the arguments that are known so far.

    Args:
        response: The answer.
        refuse: Whether a call that cannot be carried out raises instead.

    Returns:
        One selection per call, in the model's order.

    Raises:
        XinferenceUnsupportedError: A call cannot be carried out, and `refuse` is set.
    """
    message = response.message
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    calls = calls or calls_from_kwargs(message)  # of another integration, which has them there alone
    errors = _errors(message)
    selections = []
    for block in calls:
        name, arguments = block.tool_name, block.tool_kwargs
        if not isinstance(arguments, dict):
            arguments, error = _arguments_of(block, response, errors)
            if error is not None and refuse:
                raise _not_carried_out(block, error, response)
            if error is not None:
                _log.warning("The model's call of %r is not carried out: %s", block.tool_name, error)
                # The agents of llama-index-core answer: "Tool … not found. Please select a tool that is available."
                name = f"{block.tool_name} (not called: {error})"
        selections.append(ToolSelection(tool_id=block.tool_call_id or "", tool_name=name, tool_kwargs=arguments))
    return selections


def _errors(message: ChatMessage) -> dict[str, str]:
    """Return the reasons for invalid arguments by call id; empty for a partial message."""
    calls = message.additional_kwargs.get("tool_calls") or ()
    return {call["id"]: call["error"] for call in calls if isinstance(call, Mapping) and {"id", "error"} <= call.keys()}


def _arguments_of(block: ToolCallBlock, response: ChatResponse, errors: Mapping[str, str]) -> tuple[JSON, str | None]:
    """Return the arguments of a call that has them as text, and why it cannot be carried out."""
    error = errors.get(block.tool_call_id or "")
    if error is None and response.delta is None:  # a whole answer, of another integration perhaps
        error = why_unreadable(str(block.tool_kwargs))
    if error is not None:
        return {}, error
    try:
        arguments: Any = parse_partial_json(str(block.tool_kwargs))
    except ValueError:
        return {}, None
    return (arguments if isinstance(arguments, dict) else {}), None


def _not_carried_out(block: ToolCallBlock, error: str, response: ChatResponse) -> XinferenceUnsupportedError:
    cut = response.additional_kwargs.get("finish_reason") == "length"
    advice = "The answer reached max_tokens: allow more." if cut else "Ask again, or use a larger model."
    msg = f"The model's call of {block.tool_name!r} is not carried out: {error}. {advice}"
    return XinferenceUnsupportedError(msg, body=str(block.tool_kwargs))
