"""The parameters of a call: known names, errors for misspelled ones, and the merging of layers. Pure."""

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

#: For both endpoints: at construction, in `bind` and at call time. Absent from the JSON unless set.
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

#: For `/v1/chat/completions` only.
CHAT_ONLY = ("top_logprobs", "response_format", "enable_thinking", "chat_template_kwargs")

#: Rare parameters of the server, which have no field on the models but are accepted by name.
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
    # Accepted with their default value, rejected with values that no engine supports.
    "n",
    "logit_bias",
)

#: For `/v1/completions` only.
COMPLETION_ONLY = ("suffix", "echo")

CHAT = frozenset((*SAMPLING, *CHAT_ONLY, *RARE))
COMPLETION = frozenset((*SAMPLING, *RARE, *COMPLETION_ONLY))

#: For `/v1/rerank`, besides `top_n`.
RERANK = frozenset(("return_documents", "return_len", "max_chunks_per_doc", "instruction", "kwargs"))

#: Any name in these is sent to the server. `generate_config` is the older packages' name.
OPEN = ("model_kwargs", "generate_config", "extra_body")


def merged(known: Iterable[str], *layers: Mapping[str, Any], where: str, warn_only: bool = False) -> JSON:
    """Return the parameters of one call. A later layer overrides an earlier one.

    Args:
        known: The names that the server knows.
        layers: Parameters by layer, from the model's to the call's. None leaves a parameter unset. Within a layer,
            the content of `model_kwargs`, `generate_config` or `extra_body` comes last and may have any name.
        where: The owner of the parameters, for errors.
        warn_only: Whether to send an unknown name with a warning, for the drop-in constructors.

    Raises:
        XinferenceConfigurationError: An unknown name, with the nearest known one (the
            server itself silently ignores `temprature`), or a value of the wrong type or range.
    """
    names = known if isinstance(known, (set, frozenset)) else frozenset(known)
    parameters: JSON = {}
    for layer in layers:
        parameters.update(_layer(layer, names, where, warn_only=warn_only))
    # `stream` in an old generate_config: the called method decides whether to stream.
    parameters.pop("stream", None)
    stop = parameters.get("stop")
    if isinstance(stop, str):
        parameters["stop"] = [stop]
    elif stop is not None and not stop:
        del parameters["stop"]  # an empty list may not mean the server's default
    if isinstance(parameters.get("response_format"), type):
        parameters["response_format"] = response_format_of(parameters["response_format"])
    return parameters


def _layer(layer: Mapping[str, Any], names: Collection[str], where: str, *, warn_only: bool) -> JSON:
    stated: JSON = {}
    open_ones: JSON = {}
    for name, value in layer.items():
        if name in OPEN:
            inside = opened(name, value, where)
            _refuse_taken(inside, f"{where}: {name}", completes="echo" in names)
            open_ones.update(inside)
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


#: Fields of a request that the call fills itself, and where their values belong.
_TAKEN = {
    "model": "pass it as model= (LangChain), or make an object for that model",
    "messages": "pass the messages as the call's input",
}


def _refuse_taken(inside: Mapping[str, Any], where: str, *, completes: bool = False) -> None:
    """Refuse what would silently replace the model or the input of the call."""
    for name, instead in {**_TAKEN, **({"prompt": "pass it as the call's input"} if completes else {})}.items():
        if name in inside:
            msg = f"{where} cannot have {name!r}, which would replace the call's own: {instead}."
            raise XinferenceConfigurationError(msg)


def _state(stated: JSON, name: str, value: Any, where: str) -> None:
    if value is not None and not is_dropped(name, value, where):
        check_type(name, value, where)
        stated[name] = value


def check_values(stated: Mapping[str, Any], where: str, own: Collection[str] = ()) -> None:
    """Check the values passed to a constructor or `bind`. The names are checked when they are used.

    Args:
        stated: The values by name.
        where: Whose they are, for the error.
        own: The fields of the class. One that has `n` means it: an image model returns several images.

    Raises:
        XinferenceConfigurationError: A value has the wrong type or range.
    """
    for name, value in stated.items():
        if name in OPEN:
            inside = opened(name, value, where)
            _refuse_taken(inside, f"{where}: {name}")
            check_values(inside, where)
        elif name in own or not is_dropped(name, value, where):
            check_type(name, value, where)


def response_format_of(wanted: type[BaseModel]) -> JSON:
    """Return the `response_format` for an object of a pydantic class."""
    schema = wanted.model_json_schema()
    # The title of a generic class has brackets, which no server accepts in a name.
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", schema.get("title", wanted.__name__))
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}


def options_from(call: dict[str, Any], where: str = "The call") -> CallOptions:
    """Remove the timeouts and retries from a call's keywords and return them.

    Raises:
        XinferenceConfigurationError: A value has the wrong type or is not positive.
    """
    if not call:
        return DEFAULT_OPTIONS
    stated = {name: call.pop(name, None) for name in _OPTIONS}
    for name, value in stated.items():
        check_type(name, value, where)
    headers = call.pop("extra_headers", None)
    if headers is not None and not isinstance(headers, Mapping):
        msg = f"{where}: extra_headers must be a mapping of names to values, got {type(headers).__name__}"
        raise XinferenceConfigurationError(msg)
    return CallOptions(**stated, headers=header_pairs(headers or {}))


_OPTIONS = ("timeout", "connect_timeout", "deadline", "max_retries")


def unknown(name: str, known: Iterable[str], where: str) -> XinferenceConfigurationError:
    """Return the error for a misspelled parameter."""
    msg = (
        f"{where} has no parameter {name!r}{did_you_mean(name, sorted(known))} To send an unknown parameter "
        "unchanged, use model_kwargs= or extra_body=."
    )
    return XinferenceConfigurationError(msg)
