"""The parameters of a call by name: what the server knows, a misspelt one refused, layers merged. Pure."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions, header_pairs
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.integration.parameter_types import check_type, is_dropped, opened
from xinference_bridge.protocol.http import JSON
from xinference_bridge.suggestions import did_you_mean

_log = logging.getLogger(__name__)

#: Both endpoints; each at construction, in `bind` and at call time, and absent from the JSON while unset.
SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "max_tokens",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logprobs",
    "lora_name",
)

#: `/v1/chat/completions` alone.
CHAT_ONLY = ("top_logprobs", "response_format", "enable_thinking", "chat_template_kwargs")

#: Known to the server, rare enough to have no field of their own on the models: accepted at call time by name.
RARE = (
    "stop_token_ids",
    "ignore_eos",
    "request_id",
    "cache_salt",
    "mm_processor_kwargs",
    "parallel_tool_calls",
    "reasoning_effort",
    "max_completion_tokens",
    "stream_options",
    "user",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "guided_json_object",
    "guided_decoding_backend",
    "guided_whitespace_pattern",
    "skip_special_tokens",
    # Accepted where they say nothing, refused where they ask for what no engine does.
    "n",
    "logit_bias",
)

#: `/v1/completions` alone.
COMPLETION_ONLY = ("suffix", "echo")

CHAT = frozenset((*SAMPLING, *CHAT_ONLY, *RARE))
COMPLETION = frozenset((*SAMPLING, *RARE, *COMPLETION_ONLY))

#: `/v1/rerank`, beside `top_n`.
RERANK = frozenset(("return_documents", "return_len", "max_chunks_per_doc", "instruction", "kwargs"))

#: Whatever name stands in these goes to the server; `generate_config` is the older packages' name.
OPEN = ("model_kwargs", "generate_config", "extra_body")


def merged(known: Iterable[str], *layers: Mapping[str, Any], where: str, warn_only: bool = False) -> JSON:
    """Return the parameters of one call; a later layer wins over an earlier one, whatever door a value came through.

    Args:
        known: The names that the server knows.
        layers: What was stated, the model's first and the call's last. None leaves a parameter unset. Within a layer,
            what stands in `model_kwargs`, `generate_config` or `extra_body` comes last, and may have any name.
        where: Whose parameters they are, for errors.
        warn_only: Whether an unknown name is sent on with a warning, as the drop-in constructors want it.

    Raises:
        XinferenceConfigurationError: A name that the server does not know, with the nearest one that it does (the
            server itself would ignore `temprature` in silence), or a value of the wrong type or range.
    """
    names = known if isinstance(known, (set, frozenset)) else frozenset(known)
    parameters: JSON = {}
    for layer in layers:
        parameters.update(_layer(layer, names, where, warn_only=warn_only))
    # `stream` in an old generate_config: whether an answer is streamed is said by the method that asks for it.
    parameters.pop("stream", None)
    stop = parameters.get("stop")
    if isinstance(stop, str):
        parameters["stop"] = [stop]
    elif stop is not None and not stop:
        del parameters["stop"]  # no stop word is the server's default, which an empty list may not be
    if isinstance(parameters.get("response_format"), type):
        parameters["response_format"] = response_format_of(parameters["response_format"])
    return parameters


def _layer(layer: Mapping[str, Any], names: Collection[str], where: str, *, warn_only: bool) -> JSON:
    stated: JSON = {}
    open_ones: JSON = {}
    for name, value in layer.items():
        if name in OPEN:
            open_ones.update(opened(name, value, where))
        elif name in names:
            _state(stated, name, value, where)
        elif warn_only:
            _log.warning("%s does not know %r and sends it unchanged%s", where, name, did_you_mean(name, sorted(names)))
            open_ones[name] = value
        else:
            raise unknown(name, names, where)
    for name, value in open_ones.items():
        if name in names:
            _state(stated, name, value, where)
        elif not is_dropped(name, value, where):
            stated[name] = value
    return stated


def _state(stated: JSON, name: str, value: Any, where: str) -> None:
    if value is not None and not is_dropped(name, value, where):
        check_type(name, value, where)
        stated[name] = value


def check_values(stated: Mapping[str, Any], where: str) -> None:
    """Check the values of what was stated at construction or in `bind`; names are checked where they are used.

    Raises:
        XinferenceConfigurationError: A value of the wrong type or range, at its own name or in an open place.
    """
    for name, value in stated.items():
        if name in OPEN:
            check_values(opened(name, value, where), where)
        elif not is_dropped(name, value, where):
            check_type(name, value, where)


def response_format_of(wanted: type[BaseModel]) -> JSON:
    """Return the `response_format` that asks for an object of a pydantic class."""
    schema = wanted.model_json_schema()
    # Of a generic class the title has brackets, which no server takes in a name.
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", schema.get("title", wanted.__name__))
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}


def options_from(call: dict[str, Any], where: str = "The call") -> CallOptions:
    """Return what one call says about waiting and retries, taken out of its keywords; the rest are parameters.

    Raises:
        XinferenceConfigurationError: One of them has the wrong type, or is not above 0.
    """
    if not call:
        return DEFAULT_OPTIONS
    stated = {name: call.pop(name, None) for name in _OPTIONS}
    for name, value in stated.items():
        check_type(name, value, where)
    headers = call.pop("extra_headers", None)
    if headers is not None and not isinstance(headers, Mapping):
        msg = f"{where}: extra_headers must be a mapping of names to contents, got {type(headers).__name__}"
        raise XinferenceConfigurationError(msg)
    return CallOptions(**stated, headers=header_pairs(headers or {}))


_OPTIONS = ("timeout", "connect_timeout", "deadline", "max_retries")


def unknown(name: str, known: Iterable[str], where: str) -> XinferenceConfigurationError:
    """The error for a misspelt parameter."""
    msg = (
        f"{where} has no parameter {name!r}{did_you_mean(name, sorted(known))} What is meant for the server alone goes "
        "into model_kwargs= or extra_body=."
    )
    return XinferenceConfigurationError(msg)
