"""Convert LangChain's tools and `tool_choice` for the core. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from langchain_core.tools import BaseTool, Tool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_xinference_bridge._schemas import function_from
from xinference_bridge.errors import XinferenceUnsupportedError
from xinference_bridge.protocol.chat.messages import WireTool
from xinference_bridge.protocol.chat.request import NamedTool, ToolChoice, tool_choice_from
from xinference_bridge.protocol.http import JSON

ToolLike = dict[str, Any] | type | Callable[..., Any] | BaseTool


def tools_to_wire(tools: Sequence[ToolLike], *, strict: bool | None = None) -> list[WireTool]:
    """Convert functions, pydantic classes, TypedDicts, BaseTools or dicts to the server's tools.

    Raises XinferenceUnsupportedError for a tool that runs on another provider's servers.
    """
    wire = []
    for tool in tools:
        converted = _converted(tool, strict=strict)
        if converted.get("type") != "function" or not isinstance(converted.get("function"), dict):
            kind = converted.get("type")
            msg = f"A tool of type {kind!r} runs on its provider's servers; Xinference only supports functions."
            raise XinferenceUnsupportedError(msg)
        wire.append(cast("WireTool", converted))
    return wire


def _converted(tool: ToolLike, *, strict: bool | None) -> dict[str, Any]:
    if isinstance(tool, Tool) or (isinstance(tool, dict) and "title" not in tool):
        return convert_to_openai_tool(tool, strict=strict)  # which passes through tools of other types than functions
    return {"type": "function", "function": function_from(tool, strict=strict)}


def choice_to_wire(choice: Any, tools: Sequence[WireTool]) -> str | JSON | None:
    """Return the choice in OpenAI's form, which can be bound, traced and serialized.

    Raises XinferenceBadRequestError with the list of tools if it names none of them.
    """
    # LangChain's tool_choice=False means "no choice", as in ChatOpenAI.
    meant = tool_choice_from(None if choice is False else choice, [str(tool["function"]["name"]) for tool in tools])
    return {"type": "function", "function": {"name": meant.name}} if isinstance(meant, NamedTool) else meant


def choice_of_call(choice: Any, tools: Sequence[WireTool]) -> ToolChoice | None:
    """Return the choice for the core."""
    return tool_choice_from(None if choice is False else choice, [str(tool["function"]["name"]) for tool in tools])
