"""The parameters that `/set NAME VALUE` accepts, and the values of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.integration.parameters import CHAT
from xinference_bridge.suggestions import did_you_mean

#: Parameters that the conversation sets itself or cannot use.
_NOT_TO_SET = frozenset({"stream_options", "request_id", "user"})
NAMES = tuple(sorted(CHAT - _NOT_TO_SET))


def parameter_value(name: str, written: str) -> Any:
    """Return the value of a parameter, parsed as JSON if it is valid JSON, else as text.

    Raises:
        XinferenceConfigurationError: There is no such parameter, or it does not take this value; the message says which
            it takes.
    """
    if name not in NAMES:
        raise XinferenceConfigurationError(f"unknown parameter {name!r}{did_you_mean(name, NAMES)}")
    value = _read(written)
    takes, accepts = _KINDS.get(name, ("", lambda _: True))
    if not accepts(value):
        raise XinferenceConfigurationError(f"{name} must be {takes}, got {written}")
    return value


def _read(written: str) -> Any:
    words = {"on": True, "off": False, "True": True, "False": False}
    if written in words:
        return words[written]
    try:
        return json.loads(written)
    except ValueError:
        return written


def _is_number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def _number(least: float, most: float) -> tuple[str, Callable[[Any], bool]]:
    words = f"a number from {least:g}" + (f" to {most:g}" if most < float("inf") else "")
    return words, lambda value: _is_number(value, least, most)


def _whole(least: int) -> tuple[str, Callable[[Any], bool]]:
    words = f"an integer, {least} or greater"
    return words, lambda value: isinstance(value, int) and _is_number(value, least, float("inf"))


def _is_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, str) for part in value))


_ANY = float("inf")
_SWITCH = ("on or off", lambda value: isinstance(value, bool))
_OBJECT = ('a JSON object, such as {"type": "json_object"}', lambda value: isinstance(value, dict))
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "min_p": _number(0, 1),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "repetition_penalty": _number(0, _ANY),
    "top_k": _whole(-1),  # -1 means all tokens to vLLM
    "max_tokens": _whole(1),
    "max_completion_tokens": _whole(1),
    "seed": _whole(0),
    "top_logprobs": _whole(0),
    "stop": ('a string or a JSON list of strings, such as ["END"]', _is_texts),
    "logprobs": _SWITCH,
    "enable_thinking": _SWITCH,
    "ignore_eos": _SWITCH,
    "parallel_tool_calls": _SWITCH,
    "response_format": _OBJECT,
    "chat_template_kwargs": _OBJECT,
    "mm_processor_kwargs": _OBJECT,
}
