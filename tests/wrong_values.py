"""Each parameter with invalid values, for the tests of both bridges."""

from __future__ import annotations

from typing import Any

NUMBERS = ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty")
INTEGERS = ("top_k", "max_tokens", "seed", "max_completion_tokens")
TEXTS = ("lora_name", "request_id", "user", "guided_regex", "guided_grammar", "guided_decoding_backend")
SWITCHES = ("ignore_eos", "skip_special_tokens", "guided_json_object")
DICTS = ("mm_processor_kwargs", "stream_options")

_NUMBERS: tuple[Any, ...] = ("hot", "0.5", True, [0.5], float("nan"), -5)
_INTEGERS: tuple[Any, ...] = ("5", 1.5, True, [5])
#: For both endpoints.
_DICTS: tuple[Any, ...] = ("x", 5, [])
WRONG: list[tuple[str, Any]] = [
    *((name, value) for name in NUMBERS for value in _NUMBERS),
    *((name, value) for name in INTEGERS for value in _INTEGERS),
    *((name, value) for name in TEXTS for value in (5, b"x", ["x"])),
    *((name, value) for name in SWITCHES for value in ("yes", 1)),
    *((name, value) for name in DICTS for value in _DICTS),
    *(("stop", value) for value in (5, [5], {"a": 1}, ["a", None])),
    *(("logprobs", value) for value in ("yes", 1.5)),
    ("top_k", -1),
    ("max_tokens", 0),
    ("temperature", 2.5),
    ("top_p", 1.5),
    ("stop_token_ids", "5"),
    ("guided_choice", "yes"),
    ("guided_json", 5),
    ("cache_salt", 5),
    ("guided_whitespace_pattern", 5),
    ("n", 2),
    ("n", "one"),
    ("n", True),
    ("logit_bias", {"50256": -100}),
]
CHAT_WRONG: list[tuple[str, Any]] = [
    *WRONG,
    ("top_logprobs", "3"),
    ("response_format", "json"),
    ("response_format", int),
    ("enable_thinking", "no"),
    ("chat_template_kwargs", 5),
    ("parallel_tool_calls", "no"),
    ("reasoning_effort", 5),
]
WAITING: list[tuple[str, Any]] = [
    *((name, value) for name in ("timeout", "connect_timeout", "deadline") for value in ("5", 0, -1, [5], True)),
    *(("max_retries", value) for value in ("2", 1.5, -1, True)),
]
#: Fields of the classes that are not parameters of a request.
FIELDS: list[tuple[str, Any]] = [
    *((name, value) for name in ("context_length", "context_window") for value in ("4096", 0, True, 1.5)),
    *((name, value) for name in ("max_concurrency", "num_workers", "dimensions") for value in ("5", 0, True, 1.5)),
    *((name, value) for name in ("batch_size", "embed_batch_size") for value in ("5", 0, True, [5])),
    *(
        (name, value)
        for name in ("query_instruction", "document_instruction", "text_instruction")
        for value in (5, b"")
    ),
    *(("truncate", value) for value in ("yes", 1.5)),
]
DOORS = ("", "model_kwargs", "generate_config", "extra_body")
OPEN_WRONG: list[tuple[str, Any]] = [(door, value) for door in DOORS[1:] for value in (5, "x", ["a"])]
ADDRESSES = ("url", "endpoint", "host", "openai_api_base", "api_base")


def one_each(wrong: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """One wrong value a parameter, for what only has to lead to the same check."""
    return list({name: (name, value) for name, value in wrong}.values())


def through(door: str, name: str, value: Any) -> dict[str, Any]:
    """The keywords that state a value, at its own name or in an open place."""
    return {door: {name: value}} if door else {name: value}
