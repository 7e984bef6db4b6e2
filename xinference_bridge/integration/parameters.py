"""The parameters of a call by name: what the server knows, a misspelt one refused, layers merged. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions
from xinference_bridge.errors import XinferenceConfigurationError
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
)

#: `/v1/completions` alone.
COMPLETION_ONLY = ("suffix", "echo")

CHAT = frozenset((*SAMPLING, *CHAT_ONLY, *RARE))
COMPLETION = frozenset((*SAMPLING, *RARE, *COMPLETION_ONLY))

#: `/v1/rerank`, beside `top_n`.
RERANK = frozenset(("return_documents", "return_len", "max_chunks_per_doc", "instruction", "kwargs"))

#: Whatever stands in these goes to the server unchecked; `generate_config` is the older packages' name.
OPEN = ("model_kwargs", "generate_config", "extra_body")


def merged(known: Iterable[str], *layers: Mapping[str, Any], where: str, warn_only: bool = False) -> JSON:
    """The parameters of one call; a later layer wins over an earlier one, and None leaves a parameter unset.

    Raises XinferenceConfigurationError for a name that the server does not know, with the nearest one that it does:
    the server itself would ignore `temprature` in silence. With `warn_only`, as the drop-in constructors want it,
    such a name is sent on with a warning. What stands in `model_kwargs`, `generate_config` or `extra_body` is sent as
    it is, and comes last.
    """
    names = known if isinstance(known, (set, frozenset)) else frozenset(known)
    parameters: JSON = {}
    open_ones: JSON = {}
    for layer in layers:
        for name, value in layer.items():
            if name in OPEN:
                open_ones.update(value or {})
            elif name in names:
                if value is not None:
                    parameters[name] = value
            elif warn_only:
                _log.warning(
                    "%s does not know %r%s; it is sent as it is", where, name, did_you_mean(name, sorted(names))
                )
                open_ones[name] = value
            else:
                raise unknown(name, names, where)
    # `stream` in an old generate_config: whether an answer is streamed is said by the method that asks for it.
    open_ones.pop("stream", None)
    parameters.update(open_ones)
    stop = parameters.get("stop")
    if isinstance(stop, str):
        parameters["stop"] = [stop]
    elif stop is not None and not stop:
        del parameters["stop"]  # no stop word is the server's default, which an empty list may not be
    return parameters


def options_from(call: dict[str, Any]) -> CallOptions:
    """What one call says about waiting and trying again, taken out of its keywords; the rest are parameters."""
    if not call:
        return DEFAULT_OPTIONS
    return CallOptions(
        timeout=call.pop("timeout", None),
        connect_timeout=call.pop("connect_timeout", None),
        deadline=call.pop("deadline", None),
        max_retries=call.pop("max_retries", None),
    )


def unknown(name: str, known: Iterable[str], where: str) -> XinferenceConfigurationError:
    """The error for a misspelt parameter."""
    msg = (
        f"{where} has no parameter {name!r}{did_you_mean(name, sorted(known))} What is meant for the server alone goes "
        "into model_kwargs= or extra_body=."
    )
    return XinferenceConfigurationError(msg)
