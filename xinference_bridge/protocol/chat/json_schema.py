"""Check a value against a JSON schema, for engines that do not enforce it. Pure.

Supports the keywords that the frameworks use (types, required, properties, items, enum, const, anyOf, allOf, $ref,
additionalProperties, patternProperties) and ignores others.
"""

from __future__ import annotations

import re
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


def of_objects(schema: Any) -> bool:
    """Return whether every value of the schema is an object; one that says nothing of types is taken for that."""
    return _of_objects(schema, schema, frozenset())


def _of_objects(schema: Any, root: Mapping[str, Any], seen: frozenset[str]) -> bool:
    if not isinstance(schema, Mapping):
        return True
    if isinstance(reference := schema.get("$ref"), str):
        return reference in seen or _of_objects(_resolved(reference, root), root, seen | {reference})
    if (kinds := schema.get("type")) is not None:
        return kinds in ("object", ["object"])
    if "const" in schema or "enum" in schema:
        return False
    choices = [part for name in ("anyOf", "oneOf") for part in schema.get(name) or ()]
    parts = schema.get("allOf") or ()
    return all(_of_objects(part, root, seen) for part in choices) and (
        not parts or any(_of_objects(part, root, seen) for part in parts)
    )


def _at(place: str, value: Any, schema: Any, root: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> str | None:
    """Check one value. `seen` has the references that led to this schema: one that leads to itself says no more."""
    if not isinstance(schema, Mapping):
        return f"{_here(place)} is not allowed" if schema is False else None
    if isinstance(reference := schema.get("$ref"), str):
        if reference in seen:
            return None
        return _at(place, value, _resolved(reference, root), root, seen | {reference})
    return (
        _wrong_type(place, value, schema)
        or _wrong_value(place, value, schema)
        or _wrong_choice(place, value, schema, root, seen)
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


def _wrong_choice(
    place: str, value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], seen: frozenset[str]
) -> str | None:
    for part in schema.get("allOf") or ():
        if wrong := _at(place, value, part, root, seen):
            return wrong
    for name in ("anyOf", "oneOf"):
        parts = schema.get(name)
        if isinstance(parts, list) and parts:
            wrongs = [_at(place, value, part, root, seen) for part in parts]
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
    required = schema.get("required")
    missing = [name for name in required if name not in value] if isinstance(required, (list, tuple)) else []
    if missing:
        return f"{_here(place)} lacks {', '.join(map(repr, missing))}"
    properties = schema.get("properties") or {}
    rest = schema.get("additionalProperties")
    for name, inner in value.items():
        below = f"{place}.{name}" if place else str(name)
        allowed = properties[name] if name in properties else _by_pattern(schema, str(name), rest)
        if wrong := _at(below, inner, allowed, root):
            return wrong
    return None


def _by_pattern(schema: Mapping[str, Any], name: str, rest: Any) -> Any:
    """Return the schema of the first pattern that the name matches, else that of all other names."""
    for pattern, inner in (schema.get("patternProperties") or {}).items():
        try:
            if re.search(pattern, name):
                return inner
        except re.error:  # of another dialect: it cannot be told
            return None
    return rest


_OF_SCHEMAS_BY_NAME = ("properties", "patternProperties", "$defs", "definitions")
_OF_SCHEMAS = ("anyOf", "oneOf", "allOf")
_OF_ONE = ("items", "additionalProperties")


def malformed(schema: Any, place: str = "the schema") -> str | None:
    """Describe where and how a schema is none; None if it has the shape of one. Only keywords that are read here."""
    if isinstance(schema, bool):
        return f"{place} must be an object, and is {schema!r}"
    try:
        return _malformed(schema, place)
    except RecursionError:
        return f"{place} is nested too deeply, or contains itself"


def _malformed(schema: Any, place: str) -> str | None:
    if isinstance(schema, bool):
        return None
    if not isinstance(schema, Mapping):
        return f"{place} must be a JSON schema, which is an object, and is {schema!r}"
    kinds = schema.get("type")
    if kinds is not None and not all(isinstance(kind, str) for kind in (kinds if isinstance(kinds, list) else [kinds])):
        return f"{place}.type must be the name of a type or a list of names, and is {kinds!r}"
    required = schema.get("required")
    if required is not None and not isinstance(required, (list, tuple, bool)):
        return f"{place}.required must be a list of names, and is {required!r}"
    inner: list[tuple[str, Any]] = [(f"{place}.{key}", schema[key]) for key in _OF_ONE if schema.get(key) is not None]
    if isinstance(schema.get("items"), list):  # one schema by place, as in older drafts
        inner = [(where, value) for where, value in inner if value is not schema["items"]]
    for key in (*_OF_SCHEMAS_BY_NAME, *_OF_SCHEMAS):
        held, kind = schema.get(key), Mapping if key in _OF_SCHEMAS_BY_NAME else list
        if held is None:
            continue
        if not isinstance(held, kind):
            wanted = "an object of schemas by name" if kind is Mapping else "a list of schemas"
            return f"{place}.{key} must be {wanted}, and is {held!r}"
        inner += [(f"{place}.{key}.{name}", held[name]) for name in (held if kind is Mapping else range(len(held)))]
    return next(filter(None, (_malformed(value, where) for where, value in inner)), None)
