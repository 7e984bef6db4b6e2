"""Tools and the choice among them, as LangChain's users write them → as the core takes them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from xinference_bridge.errors import XinferenceUnsupportedError
from xinference_bridge.protocol.chat.messages import WireTool
from xinference_bridge.protocol.chat.request import NamedTool, ToolChoice, tool_choice_from
from xinference_bridge.protocol.http import JSON

ToolLike = dict[str, Any] | type | Callable[..., Any] | BaseTool


def tools_to_wire(tools: Sequence[ToolLike], *, strict: bool | None = None) -> list[WireTool]:
    """The tools as the server takes them: functions, pydantic classes, TypedDicts, BaseTools or dicts.

    Raises XinferenceUnsupportedError for a tool that only another provider runs.
    """
    wire = []
    for tool in tools:
        converted = convert_to_openai_tool(tool, strict=strict)
        if converted.get("type") != "function" or not isinstance(converted.get("function"), dict):
            msg = (
                f"A tool of type {converted.get('type')!r} is run by its provider; a Xinference server takes functions."
            )
            raise XinferenceUnsupportedError(msg)
        wire.append(cast("WireTool", converted))
    return wire


def choice_to_wire(choice: Any, tools: Sequence[WireTool]) -> str | JSON | None:
    """The choice in OpenAI's form, which survives being bound, traced and serialised.

    Raises XinferenceBadRequestError that lists the tools when it names none of them.
    """
    # LangChain's tool_choice=False says "no choice was made", as ChatOpenAI reads it.
    meant = tool_choice_from(None if choice is False else choice, [str(tool["function"]["name"]) for tool in tools])
    return {"type": "function", "function": {"name": meant.name}} if isinstance(meant, NamedTool) else meant


def choice_of_call(choice: Any, tools: Sequence[WireTool]) -> ToolChoice | None:
    """The choice as the core takes it."""
    return tool_choice_from(None if choice is False else choice, [str(tool["function"]["name"]) for tool in tools])
