"""JSON read with its integers as they are: orjson makes floats of those beyond 64 bits, in silence. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson


def loads_exact(text: str) -> Any:
    """Return the value of JSON text, its integers exact whatever their size.

    Raises:
        ValueError: The text is not JSON.
    """
    if _LONG.search(text) is None:
        return orjson.loads(text)
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        msg = "it is nested too deeply"
        raise ValueError(msg) from None


_LONG = re.compile(r"\d{19}")  # what 64 bits may not hold


def _refuse(constant: str) -> None:
    msg = f"{constant} is not JSON"
    raise ValueError(msg)
