"""Tool definitions as different clients would write them: the names stay, the words around them change."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from lab.training.words import sentence


def tool_name(key: str) -> str:
    """`get_weather@location` in the data is a variant of the tool `get_weather`."""
    return key.split("@", maxsplit=1)[0]


def definition(key: str, tools: Mapping[str, Any], rng: random.Random | None) -> dict[str, Any]:
    """The tool in OpenAI's form; without `rng` in its plainest wording."""
    entry = tools[key]
    descriptions = entry.get("descriptions", [])
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    for name, kind in entry.get("parameters", {}).items():
        schema["properties"][name] = _property(name, kind, rng)
    required = [name for name in schema["properties"] if name not in entry.get("optional", ())]
    if required or rng is None or rng.random() < 0.3:
        schema["required"] = required
    if rng is not None:
        description = rng.choice([*descriptions, *descriptions, sentence(rng)])
        schema = _reworded(schema, entry, rng)
    else:
        description = descriptions[0] if descriptions else ""
    function = {"name": tool_name(key), "description": description, "parameters": schema}
    if rng is not None and rng.random() < 0.1:
        function["strict"] = True
    return {"type": "function", "function": function}


def _property(name: str, kind: Any, rng: random.Random | None) -> dict[str, Any]:
    schema: dict[str, Any] = dict(kind) if isinstance(kind, dict) else {"type": kind}
    if rng is None:
        return schema
    if rng.random() < 0.4:
        schema["title"] = name.replace("_", " ").title()
    if rng.random() < 0.5 and "description" not in schema:
        schema["description"] = rng.choice([f"The {name.replace('_', ' ')}.", sentence(rng)])
    if schema.get("type") == "integer" and rng.random() < 0.3:
        schema |= rng.choice(
            [{"exclusiveMaximum": 1000, "exclusiveMinimum": -1000}, {"minimum": 0}, {"maximum": 1000, "minimum": -1000}]
        )
    items = list(schema.items())
    rng.shuffle(items)
    return dict(items)


def _reworded(schema: dict[str, Any], entry: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.2:
        schema["additionalProperties"] = False
    if rng.random() < 0.15:
        schema["title"] = str(rng.choice(entry.get("titles", ["Input", "Parameters"])))
    if defs := entry.get("defs"):
        schema["$defs"] = defs
    items = list(schema.items())
    rng.shuffle(items)
    return dict(items)
