"""Convert schemas and tools to OpenAI functions without the losses of LangChain's converter. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_function
from pydantic import TypeAdapter
from typing_extensions import is_typeddict

from xinference_bridge.protocol.chat.enforced_schema import schemas_within


def function_from(source: Any, *, strict: bool | None = None) -> dict[str, Any]:
    """Return the OpenAI function of a class, callable, tool or dict.

    LangChain's converter drops a titled schema that has no `properties` at its root, and replaces a reference of a
    type to itself with `{}`, which admits anything. Both are kept here.

    Raises:
        ValueError: The source is in no supported form.
        TypeError: A class or callable has a type that no JSON schema describes.
    """
    if isinstance(source, dict):
        return convert_to_openai_function(named(source, strict=strict), strict=strict)
    try:
        function = convert_to_openai_function(source, strict=strict)
    except RecursionError:
        # A TypedDict of itself.
        function = {"name": source.__name__, "description": (source.__doc__ or "").strip(), "parameters": {"items": {}}}
    if not any(not _SAY_SOMETHING & set(node) for node in schemas_within(function.get("parameters"))):
        return function
    own = _own_schema(source)
    if own is None or not _is_recursive(own):
        return function
    whole = {**function, "parameters": _without_title(_with_root(own))}
    return convert_to_openai_function(whole, strict=strict)


def named(source: dict[str, Any], *, strict: bool | None = None) -> dict[str, Any]:
    """Return a titled JSON schema as a function that has all of it; any other dict as it is."""
    if "title" not in source or "name" in source or "toolSpec" in source:
        if strict and "name" in source and not {"parameters", "input_schema"} & set(source):
            return {**source, "parameters": {"type": "object", "properties": {}}}  # which strictness is written into
        return source
    about = {"name": source["title"]}
    if "description" in source:
        about["description"] = source["description"]
    rest = {name: value for name, value in source.items() if name not in ("title", "description")}
    return {**about, "parameters": rest or {"type": "object"}}


#: A schema without any of these admits every value: a field of type Any, or a lost reference.
_SAY_SOMETHING = frozenset({"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "properties"})


def _own_schema(source: Any) -> dict[str, Any] | None:
    """Return the JSON schema as pydantic writes it, with its references."""
    if is_typeddict(source):
        return TypeAdapter(source).json_schema()
    if not isinstance(source, (type, BaseTool)):
        about = source.__doc__ or source.__name__
        source = StructuredTool.from_function(
            source, description=about, parse_docstring=True, error_on_invalid_docstring=False
        )
    schema = source.tool_call_schema if isinstance(source, BaseTool) else source
    if isinstance(schema, dict):
        return schema
    for method in ("model_json_schema", "schema"):  # of pydantic 2 and 1
        if hasattr(schema, method):
            own: dict[str, Any] = getattr(schema, method)()
            return own
    return None


def _definitions(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"#/{place}/{name}": inner
        for place in ("$defs", "definitions")
        for name, inner in (schema.get(place) or {}).items()
    }


def _is_recursive(schema: Mapping[str, Any]) -> bool:
    definitions = _definitions(schema)
    leads_to = {name: _references(inner) for name, inner in definitions.items()}
    for name in definitions:
        seen: set[str] = set()
        waiting = leads_to[name]
        while waiting - seen:
            seen |= waiting
            waiting = set().union(*(leads_to.get(reference, set()) for reference in waiting))
        if name in seen:
            return True
    return False


def _references(schema: Any) -> set[str]:
    return {node["$ref"] for node in schemas_within(schema) if isinstance(node.get("$ref"), str)}


def _with_root(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with its root written out: servers expect an object's properties there."""
    root = _definitions(schema).get(schema.get("$ref", ""))
    return {**root, **{name: value for name, value in schema.items() if name != "$ref"}} if root else schema


def _without_title(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name not in ("title", "description")}
