"""JSON read with its integers as they are: orjson makes floats of those beyond 64 bits, in silence. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

#: How deep JSON of a model may be nested: parsers, copies and validators go on to about 255, and raise on the stack.
MOST_DEEP = 200


def loads_exact(text: str) -> Any:
    """Return the value of JSON text, its integers exact whatever their size.

    Raises:
        ValueError: The text is not JSON, is nested too deeply, has a number that no double holds, or half a character.
    """
    if too_deep(text):
        msg = "it is nested too deeply"
        raise ValueError(msg)
    if _LONG.search(text) is None:
        return orjson.loads(text)
    value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        msg = "it has half of a surrogate pair"
        raise ValueError(msg) from None
    return value


def too_deep(text: str) -> bool:
    """Return whether the text has more open brackets at once than `MOST_DEEP`."""
    if text.count("[") + text.count("{") <= MOST_DEEP:
        return False
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MOST_DEEP:
            return True
    return False


_LONG = re.compile(r"\d{19}")  # what 64 bits may not hold
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKET = re.compile(r"[][{}]")


def _refuse(constant: str) -> None:
    msg = f"{constant} is not JSON"
    raise ValueError(msg)


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        msg = f"{digits[:30]} is beyond what a double holds"
        raise ValueError(msg)
    return value
