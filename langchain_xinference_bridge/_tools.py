"""Convert LangChain's tools and `tool_choice` for the core. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from langchain_core.tools import BaseTool, Tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel
from pydantic.errors import PydanticUserError

from langchain_xinference_bridge._schemas import function_from, named
from xinference_bridge.errors import XinferenceConfigurationError, XinferenceUnsupportedError
from xinference_bridge.protocol.chat.json_schema import malformed
from xinference_bridge.protocol.chat.messages import WireTool
from xinference_bridge.protocol.chat.request import NamedTool, ToolChoice, tool_choice_from
from xinference_bridge.protocol.http import JSON

ToolLike = dict[str, Any] | type | Callable[..., Any] | BaseTool


def tools_to_wire(tools: Sequence[ToolLike], *, strict: bool | None = None) -> list[WireTool]:
    """Convert functions, pydantic classes, TypedDicts, BaseTools or dicts to the server's tools.

    Raises:
        XinferenceConfigurationError: These are no tools; the message names the item.
        XinferenceUnsupportedError: A tool runs on another provider's servers.
    """
    if isinstance(tools, _ONE_TOOL) or callable(tools) or not isinstance(tools, Iterable):
        msg = f"tools is {_shown(tools)}, and must be a list of tools: {_TOOLS}. Put a single tool in a list."
        raise XinferenceConfigurationError(msg)
    return [_to_wire(tool, f"tools[{number}]", strict=strict) for number, tool in enumerate(tools)]


#: What can be iterated over, and is no list of tools.
_ONE_TOOL = (str, bytes, Mapping, BaseModel)
_TOOLS = "functions, pydantic classes, TypedDicts, BaseTool objects or dicts in OpenAI's form"


def _shown(value: Any) -> str:
    """Describe a wrong value. A misplaced text may be a secret."""
    if value is None or isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        return f"a dict with the keys {', '.join(map(repr, value))}" if value else "an empty dict"
    return f"of type {type(value).__name__}"


def _to_wire(tool: ToolLike, where: str, *, strict: bool | None) -> WireTool:
    shown = f"{where} is {_shown(tool)}"
    try:
        converted = _converted(tool, strict=strict)
    except (ValueError, TypeError, LookupError, AttributeError, PydanticUserError) as unusable:
        why = f" {unusable}" if callable(tool) or isinstance(tool, BaseTool) else ""  # else a copy of the value
        msg = f"{shown}, which cannot be used as a tool. Tools are {_TOOLS}.{why}"
        raise XinferenceConfigurationError(msg) from None
    kind, function = converted.get("type"), converted.get("function")
    if kind != "function":
        msg = f"A tool of type {kind!r} runs on its provider's servers; Xinference only supports functions."
        raise XinferenceUnsupportedError(msg)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        msg = f"{shown}, and lacks the name of its function: write {_OPENAI_FORM}."
        raise XinferenceConfigurationError(msg)
    if function.get("parameters") is not None and (wrong := malformed(function["parameters"], "its parameters")):
        msg = f"{where}, the tool {function['name']!r}, cannot be used: {wrong}."
        raise XinferenceConfigurationError(msg)
    return cast("WireTool", converted)


_OPENAI_FORM = '{"type": "function", "function": {"name": …, "description": …, "parameters": …}}'


def _converted(tool: ToolLike, *, strict: bool | None) -> dict[str, Any]:
    if isinstance(tool, Tool) or (isinstance(tool, dict) and "title" not in tool):
        given = named(tool, strict=strict) if isinstance(tool, dict) and "type" not in tool else tool
        return convert_to_openai_tool(given, strict=strict)  # which passes through tools of other types than functions
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
