"""What `/set` takes: each parameter of a chat with the values that make sense, so that a typo is told at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xinference_bridge.suggestions import did_you_mean


@dataclass(frozen=True, slots=True)
class Kind:
    """The values of a parameter, and how to say what they are."""

    takes: str
    fits: Callable[[Any], bool]


def _number(low: float | None = None, high: float | None = None) -> Kind:
    def fits(value: Any) -> bool:
        real = isinstance(value, (int, float)) and not isinstance(value, bool)
        return real and (low is None or value >= low) and (high is None or value <= high)

    return Kind(f"a number{_range(low, high)}", fits)


def _whole(low: int | None = None) -> Kind:
    def fits(value: Any) -> bool:
        return type(value) is int and (low is None or value >= low)

    return Kind(f"a whole number{_range(low, None)}", fits)


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return ""
    return f" of {low} or more" if high is None else f" from {low} to {high}"


def _texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(text, str) for text in value))


_TRUTH = Kind("true or false", lambda value: isinstance(value, bool))
_TEXT = Kind("a text", lambda value: isinstance(value, str))
_TEXTS = Kind('a text, or texts as ["a", "b"]', _texts)
_OBJECT = Kind('a JSON object, as {"name": 1}', lambda value: isinstance(value, dict))
_LIST = Kind("a JSON list, as [1, 2]", lambda value: isinstance(value, list))
_ANY = Kind("any value", lambda _value: True)
_PENALTY = _number(-2, 2)

PARAMETERS: dict[str, Kind] = {
    "temperature": _number(0),
    "top_p": _number(0, 1),
    "top_k": _whole(-1),
    "min_p": _number(0, 1),
    "max_tokens": _whole(1),
    "max_completion_tokens": _whole(1),
    "stop": _TEXTS,
    "seed": _whole(),
    "presence_penalty": _PENALTY,
    "frequency_penalty": _PENALTY,
    "repetition_penalty": _number(0),
    "logprobs": Kind("true, false or a whole number", lambda value: isinstance(value, int)),
    "top_logprobs": _whole(0),
    "lora_name": _TEXT,
    "response_format": _OBJECT,
    "enable_thinking": _TRUTH,
    "chat_template_kwargs": _OBJECT,
    "stop_token_ids": _LIST,
    "ignore_eos": _TRUTH,
    "request_id": _TEXT,
    "cache_salt": _TEXT,
    "mm_processor_kwargs": _OBJECT,
    "parallel_tool_calls": _TRUTH,
    "reasoning_effort": _TEXT,
    "stream_options": _OBJECT,
    "user": _TEXT,
    "guided_json": _ANY,
    "guided_regex": _TEXT,
    "guided_choice": _LIST,
    "guided_grammar": _TEXT,
}


def parameter_from_text(name: str, text: str) -> Any:
    """Return the value that was typed for a parameter.

    Raises:
        ValueError: There is no such parameter, or it does not take this value; the message says what it takes.
    """
    kind = PARAMETERS.get(name)
    if kind is None:
        raise ValueError(f"no parameter {name!r}{did_you_mean(name, PARAMETERS)}")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if kind is _TEXT and not isinstance(value, str):
        value = text
    if not kind.fits(value):
        raise ValueError(f"{name} takes {kind.takes}, not {text}")
    return value
