"""The type and range of each parameter, as a table, and the error for an invalid value. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from xinference_bridge.errors import XinferenceConfigurationError

_Number = Annotated[float, Field(allow_inf_nan=False)]
_Texts = str | list[str] | tuple[str, ...]

#: Description → type, checked without coercion: "0.5" is not a number. The ranges are those that 4.1.0 enforces.
_KINDS: dict[str, Any] = {
    "a number": _Number,
    "a number above 0": Annotated[float, Field(gt=0, allow_inf_nan=False)],
    "a number from 0 to 1": Annotated[float, Field(ge=0, le=1)],
    "a number from 0 to 2": Annotated[float, Field(ge=0, le=2)],
    "a number from -2 to 2": Annotated[float, Field(ge=-2, le=2)],
    "a number of 0 or more": Annotated[float, Field(ge=0, allow_inf_nan=False)],
    "an integer": int,
    "an integer of 0 or more": Annotated[int, Field(ge=0)],
    "an integer of 1 or more": Annotated[int, Field(ge=1)],
    "an integer or a list of integers": int | list[int],
    "true or false": bool,
    "true, false or an integer": bool | int,
    "a string": str,
    "a string or a list of strings": _Texts,
    "a list of strings": list[str] | tuple[str, ...],
    "a dict": dict[str, Any],
    "a dict or a string of JSON": dict[str, Any] | str,
    "a dict or a pydantic class": dict[str, Any] | type[BaseModel],
}

_TAKES: dict[str, str] = {
    "temperature": "a number from 0 to 2",
    "top_p": "a number from 0 to 1",
    "top_k": "an integer of 0 or more",
    "min_p": "a number from 0 to 1",
    "max_tokens": "an integer of 1 or more",
    "stop": "a string or a list of strings",
    "seed": "an integer",
    "presence_penalty": "a number from -2 to 2",
    "frequency_penalty": "a number from -2 to 2",
    "repetition_penalty": "a number of 0 or more",
    "logprobs": "true, false or an integer",
    "top_logprobs": "an integer of 0 or more",
    "lora_name": "a string",
    "response_format": "a dict or a pydantic class",
    "enable_thinking": "true or false",
    "chat_template_kwargs": "a dict or a string of JSON",
    "stop_token_ids": "an integer or a list of integers",
    "ignore_eos": "true or false",
    "request_id": "a string",
    "cache_salt": "a string",
    "mm_processor_kwargs": "a dict",
    "parallel_tool_calls": "true or false",
    "reasoning_effort": "a string",
    "max_completion_tokens": "an integer of 1 or more",
    "stream_options": "a dict",
    "user": "a string",
    "guided_json": "a dict or a string of JSON",
    "guided_regex": "a string",
    "guided_choice": "a list of strings",
    "guided_grammar": "a string",
    "guided_json_object": "true or false",
    "guided_decoding_backend": "a string",
    "guided_whitespace_pattern": "a string",
    "skip_special_tokens": "true or false",
    "suffix": "a string",
    "echo": "true or false",
    "timeout": "a number above 0",
    "connect_timeout": "a number above 0",
    "deadline": "a number above 0",
    "max_retries": "an integer of 0 or more",
    "context_length": "an integer of 1 or more",
    # Fields of the classes alone.
    **dict.fromkeys(
        ("context_window", "max_concurrency", "batch_size", "embed_batch_size", "num_workers", "dimensions"),
        "an integer of 1 or more",
    ),
    **dict.fromkeys(
        ("model_uid", "model_name", "server_url", "query_instruction", "document_instruction", "text_instruction"),
        "a string",
    ),
    "truncate": "true, false or an integer",
}


def check_type(name: str, value: Any, where: str) -> None:
    """Check one value. None and names that are not in the table are accepted.

    Args:
        name: The parameter.
        value: Its value.
        where: The owner of the parameter, for the error.

    Raises:
        XinferenceConfigurationError: The value has the wrong type or is out of range.
    """
    words = _TAKES.get(name)
    if value is None or words is None:
        return
    try:
        _adapter(words).validate_python(value, strict=True)
    except ValidationError:
        # The message repeats only numbers: any other misplaced value may be a secret.
        shown = f" {value!r}" if isinstance(value, (int, float)) else ""
        msg = f"{where}: {name} must be {words}, got {type(value).__name__}{shown}"
        raise XinferenceConfigurationError(msg) from None


@lru_cache(maxsize=len(_KINDS))
def _adapter(words: str) -> TypeAdapter[Any]:
    kind = _KINDS[words]
    return TypeAdapter(kind, config=None if words.endswith("class") else ConfigDict(strict=True))


def is_dropped(name: str, value: Any, where: str) -> bool:
    """Return whether a parameter asks only for the server's default behaviour.

    Raises:
        XinferenceConfigurationError: No engine supports it: `n` above 1, or `logit_bias`.
    """
    if name == "n":
        if value is None or (type(value) is int and value == 1):
            return True
        shown = value if isinstance(value, int) else type(value).__name__
        why = "the server ignores it (4.1.0) and returns one answer. Send n requests instead."
        msg = f"{where}: n must be 1, got {shown}: {why}"
        raise XinferenceConfigurationError(msg)
    if name == "logit_bias":
        if not value:
            return True
        msg = f"{where}: logit_bias cannot be used: the server answers 501 (4.1.0). Leave it out."
        raise XinferenceConfigurationError(msg)
    return False


def opened(name: str, value: Any, where: str) -> Mapping[str, Any]:
    """Return the content of `model_kwargs`, `generate_config` or `extra_body`.

    Raises:
        XinferenceConfigurationError: It is not a dict.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        msg = f"{where}: {name} must be a dict, got {type(value).__name__}"
        raise XinferenceConfigurationError(msg)
    return value


def unusable_fields(owner: str, invalid: ValidationError) -> XinferenceConfigurationError:
    """Return pydantic's error as one that names each field, without the values, which may be secrets."""
    wrong = []
    for error in invalid.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in error["loc"][:1]) or "it"
        wrong.append(f"{name}: {error['msg'].removeprefix('Value error, ')}")
    return XinferenceConfigurationError(f"{owner} cannot use " + "; ".join(dict.fromkeys(wrong)))
