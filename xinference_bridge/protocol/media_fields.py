"""Checks and encodes the arguments that audio and image requests share. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from xinference_bridge.errors import XinferenceConfigurationError


def as_kwargs(more: Mapping[str, Any]) -> str:
    """Return further parameters as the JSON string that the media endpoints accept.

    Raises:
        XinferenceConfigurationError: They cannot be encoded as JSON.
    """
    try:
        return json.dumps(dict(more), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as refused:
        raise XinferenceConfigurationError(f"a parameter cannot be sent as JSON: {refused}") from None


def checked_text(value: Any, name: str) -> str:
    """Return the text if it is not empty.

    Raises:
        XinferenceConfigurationError: It is not a string, or is empty.
    """
    if not isinstance(value, str):
        raise XinferenceConfigurationError(f"{name} must be a string, got {type(value).__name__}")
    if not value.strip():
        raise XinferenceConfigurationError(f"{name} is empty")
    return value


def checked_number(value: Any, name: str, *, least: float | None = None, above: float | None = None) -> float:
    """Return the value if it is a finite number within its bounds.

    Raises:
        XinferenceConfigurationError: It is not a finite number, or is out of bounds.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise XinferenceConfigurationError(f"{name} must be a number, got {value!r:.60}")
    if least is not None and value < least:
        raise XinferenceConfigurationError(f"{name} must be {least:g} or more, got {value!r}")
    if above is not None and value <= above:
        raise XinferenceConfigurationError(f"{name} must be more than {above:g}, got {value!r}")
    return float(value)


def checked_count(value: Any, name: str) -> int:
    """Return the value if it is a positive integer.

    Raises:
        XinferenceConfigurationError: It is not a positive integer.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise XinferenceConfigurationError(f"{name} must be an integer, got {value!r:.60}")
    if value < 1:
        raise XinferenceConfigurationError(f"{name} must be 1 or more, got {value}")
    return value
