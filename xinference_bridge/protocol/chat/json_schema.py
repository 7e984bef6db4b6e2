"""Check a value against a JSON schema, for engines that do not enforce it. Pure.

Supports the keywords that the frameworks use (types, required, properties, items, enum, const, anyOf, allOf, $ref,
additionalProperties) and ignores others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


def violation(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Describe where and how the value violates the schema; None if it does not."""
    try:
        return _at("", value, schema, schema)
    except RecursionError:
        return "it is nested too deeply to be checked"


def _at(place: str, value: Any, schema: Any, root: Mapping[str, Any]) -> str | None:
    if not isinstance(schema, Mapping):
        return f"{_here(place)} is not allowed" if schema is False else None
    if isinstance(reference := schema.get("$ref"), str):
        return _at(place, value, _resolved(reference, root), root)
    return (
        _wrong_type(place, value, schema)
        or _wrong_value(place, value, schema)
        or _wrong_choice(place, value, schema, root)
        or _wrong_inside(place, value, schema, root)
    )


def _here(place: str) -> str:
    return place or "the answer"


def _resolved(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(step) if isinstance(found, Mapping) and step else found
    return found


def _wrong_type(place: str, value: Any, schema: Mapping[str, Any]) -> str | None:
    wanted = schema.get("type")
    names = wanted if isinstance(wanted, list) else [wanted]
    if wanted is None or any(name not in _TYPES or _is(value, name) for name in names):
        return None
    return f"{_here(place)} should be of type {' or '.join(map(str, names))}, and is {value!r}"


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name])


def _wrong_value(place: str, value: Any, schema: Mapping[str, Any]) -> str | None:
    allowed = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(allowed, list) or value in allowed:
        return None
    return f"{_here(place)} should be {' or '.join(map(repr, allowed))}, and is {value!r}"


def _wrong_choice(place: str, value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> str | None:
    for part in schema.get("allOf") or ():
        if wrong := _at(place, value, part, root):
            return wrong
    for name in ("anyOf", "oneOf"):
        parts = schema.get(name)
        if isinstance(parts, list) and parts:
            wrongs = [_at(place, value, part, root) for part in parts]
            if all(wrongs):
                return str(wrongs[0])
    return None


def _wrong_inside(place: str, value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> str | None:
    if isinstance(value, list):
        items = schema.get("items")
        wrongs = (_at(f"{place}[{number}]", item, items, root) for number, item in enumerate(value))
        return next(filter(None, wrongs), None) if items is not None else None
    if not isinstance(value, dict):
        return None
    missing = [name for name in schema.get("required") or () if name not in value]
    if missing:
        return f"{_here(place)} lacks {', '.join(map(repr, missing))}"
    properties = schema.get("properties") or {}
    rest = schema.get("additionalProperties")
    for name, inner in value.items():
        below = f"{place}.{name}" if place else str(name)
        if wrong := _at(below, inner, properties.get(name, rest), root):
            return wrong
    return None
