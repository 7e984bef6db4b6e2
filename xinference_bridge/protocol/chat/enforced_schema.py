"""Prepare schemas for an engine that enforces them: closed objects, valid references, one for all tools. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from xinference_bridge.errors import XinferenceBadRequestError
from xinference_bridge.protocol.chat.messages import WireTool
from xinference_bridge.protocol.http import JSON


def closed(schema: JSON) -> JSON:
    """Return the schema with `additionalProperties: false` on every object that lists its properties and says nothing.

    An engine takes an open object at its word: real models on llama.cpp added keys ("hobby"), or wrote keys up to
    max_tokens. What the schema states itself stays; so does an object without `properties`, which means any object,
    and the parts of an `allOf`, since two closed parts would rule each other out.
    """
    parts = {reference for part in _parts_of_all(schema) if (reference := _reference(part)) is not None}
    kept_open = [id(target) for reference in parts if (target := _resolve(reference, schema)) is not None]
    result: JSON = _closed(schema, frozenset(kept_open))
    return result


def _closed(node: Any, kept_open: frozenset[int], *, is_part: bool = False) -> Any:
    if isinstance(node, list):
        return [_closed(item, kept_open) for item in node]
    if not isinstance(node, Mapping):
        return node
    several = isinstance(node.get("allOf"), list) and (len(node["allOf"]) > 1 or "properties" in node)
    made: JSON = {}
    for name, value in node.items():
        if name in _VALUES:
            made[name] = value
        elif name in _SCHEMAS_BY_NAME and isinstance(value, Mapping):
            # A property may have the name of a keyword: only its schema is looked into.
            made[name] = {key: _closed(inner, kept_open) for key, inner in value.items()}
        elif name == "allOf" and several:
            made[name] = [_closed(part, kept_open, is_part=True) for part in value]
        else:
            made[name] = _closed(value, kept_open)
    stated = _STATE_THE_REST & set(node)
    if isinstance(node.get("properties"), Mapping) and not (stated or is_part or several or id(node) in kept_open):
        made["additionalProperties"] = False
    return made


#: Keywords whose value is data, not a schema.
_VALUES = frozenset({"const", "enum", "default", "examples", "example", "required"})
#: Keywords that hold schemas by names of the caller's choice.
_SCHEMAS_BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_STATE_THE_REST = frozenset({"additionalProperties", "unevaluatedProperties", "patternProperties"})


def _parts_of_all(schema: Any) -> Iterator[Any]:
    for node in schemas_within(schema):
        parts = node.get("allOf")
        if isinstance(parts, list) and (len(parts) > 1 or "properties" in node):
            yield from parts


def schemas_within(node: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every schema within a schema, and itself."""
    if isinstance(node, list):
        for item in node:
            yield from schemas_within(item)
    elif isinstance(node, Mapping):
        yield node
        for name, value in node.items():
            if name in _SCHEMAS_BY_NAME and isinstance(value, Mapping):
                for inner in value.values():
                    yield from schemas_within(inner)
            elif name not in _VALUES:
                yield from schemas_within(value)


def _reference(node: Any) -> str | None:
    reference = node.get("$ref") if isinstance(node, Mapping) else None
    return reference if isinstance(reference, str) else None


def _resolve(reference: str, root: Any) -> Any:
    """Return what a reference names within its schema; None where there is nothing, or it leads outside."""
    if not reference.startswith("#"):
        return None
    found = root
    for step in unquote(reference[1:]).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, Mapping):
            found = found.get(name)
        else:
            return None
    return found


def refuse_dangling(schema: Any, where: str) -> None:
    """Check that every `$ref` of a schema can be resolved: llama.cpp (4.1.0) answers an unexplained 500 otherwise.

    Raises:
        XinferenceBadRequestError: Such a reference; the message has it, and `where` the schema stands.
    """
    for node in schemas_within(schema):
        reference = _reference(node)
        if reference is not None and _resolve(reference, schema) is None:
            msg = (
                f"{where} has a $ref {reference!r} that names nothing in that schema; it was not sent. Put what it "
                "names under $defs of the same schema, or write it out in its place."
            )
            raise XinferenceBadRequestError(msg)


def schema_of_calls(tools: Sequence[WireTool]) -> JSON:
    """Return the schema of one call of one of these tools: an object with its `name` and its `arguments`."""
    definitions: JSON = {}
    calls = [_call_schema(tool, number, definitions) for number, tool in enumerate(tools)]
    schema: JSON = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return {**schema, "$defs": definitions} if definitions else schema


def _call_schema(tool: WireTool, number: int, definitions: JSON) -> JSON:
    function = tool["function"]
    parameters = closed(dict(function.get("parameters") or {"type": "object", "properties": {}}))
    if any(_reference(node) is not None for node in schemas_within(parameters)):
        # A reference counts from the root of the whole schema, where the tool's own root is not any more.
        place = f"arguments_{number}"
        definitions[place] = _moved(parameters, f"#/$defs/{place}")
        parameters = {"$ref": f"#/$defs/{place}"}
    return {
        "type": "object",
        "properties": {"name": {"const": function["name"]}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _moved(node: Any, root: str) -> Any:
    """Return the schema with its references as they are after a move to another root."""
    if isinstance(node, list):
        return [_moved(item, root) for item in node]
    if not isinstance(node, Mapping):
        return node
    return {
        name: f"{root}{value[1:]}"
        if name == "$ref" and isinstance(value, str) and value.startswith("#")
        else (value if name in _VALUES else _moved(value, root))
        for name, value in node.items()
    }
