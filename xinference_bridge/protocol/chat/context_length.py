"""Checks whether a prompt can exceed a model's context, without a request if it clearly cannot. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xinference_bridge.errors import (
    XinferenceBadRequestError,
    XinferenceContextOverflowError,
    XinferenceError,
    XinferencePermissionError,
    XinferenceServerError,
    XinferenceUnsupportedError,
)
from xinference_bridge.protocol.chat.request import ChatCall, prompt_bytes
from xinference_bridge.protocol.engines import engine_named
from xinference_bridge.protocol.model_info import ModelInfo

#: A failed token count does not affect the call itself.
NOT_COUNTED = (XinferenceBadRequestError, XinferencePermissionError, XinferenceUnsupportedError)
#: A prompt with fewer bytes fits every real model, so its description is not needed.
SHORT_BYTES = 1500
#: Maximum tokens that a chat template adds: its preamble (the longest one seen is Qwen's for tools, about 200), and
#: the marks around each message.
_TEMPLATE_TOKENS = 320
_MARKS_A_MESSAGE = 8
#: The transformers engine reserves this many tokens besides max_tokens before it truncates the prompt.
_SPARE_TOKENS = 8
#: Bytes of prompt for each token of the context, from where on it is likely not to fit: English has about 4.2 a token.
_LIKELY_BYTES = 4


def must_count(call: ChatCall, model: ModelInfo | None, size: int) -> bool:
    """Return whether to count the tokens: the engine silently truncates prompts, and this one may be too long."""
    length = _length(call, model)
    if model is None or length is None or not engine_named(model.engine).truncates_silently:
        return False
    most = size + _TEMPLATE_TOKENS + _MARKS_A_MESSAGE * len(call.messages)
    return most > _room(call.parameters, length)


def refuse_overflow(call: ChatCall, model: ModelInfo, tokens: int | None) -> None:
    """Raise XinferenceContextOverflowError with both sizes if this many tokens do not fit; None is unknown."""
    length = _length(call, model) or 0
    if tokens is not None and tokens > _room(call.parameters, length):
        raise overflow(model, length, tokens, call.parameters.get("max_tokens"))


def explained_by_size(error: XinferenceServerError, call: ChatCall, model: ModelInfo | None) -> XinferenceError:
    """Return a context overflow error for a failed call with a very long prompt; else the error itself.

    llama.cpp refuses a prompt that does not fit, and 4.1.0 says of it no more than "The chat completion request failed.
    Check the server logs for details.": as a 500, and streamed as an error under 200. It counts no tokens for others.
    """
    length = _length(call, model)
    if model is None or length is None:
        return error
    engine = engine_named(model.engine)
    if engine.counts_tokens or error.status_code not in (None, 200, 500):
        return error
    size = prompt_bytes(call)
    if size >= _LIKELY_BYTES * length:
        note = f"(The server failed without a reason; the prompt has {size} bytes.)"
        return overflow(model, length, None, None).like(error).with_note(note)
    if call.context_length is None and size >= _LIKELY_BYTES * length // engine.most_slots:
        return error.with_note(
            f"The prompt has {size} bytes and may be too long: {engine.name} divides the context of {length} tokens "
            f"among its slots, so that one request has no more than {length // engine.most_slots} of them with "
            f"n_parallel={engine.most_slots}, which is the server's choice on as many cores. Launch the model with "
            "n_parallel=1, or state what a request may hold as context_length=."
        )
    return error


def _length(call: ChatCall, model: ModelInfo | None) -> int | None:
    """Return the maximum tokens of a request, from the caller or else from the server's description."""
    if call.context_length is not None:
        return call.context_length
    return model.context_length if model is not None else None


def overflow(model: ModelInfo, length: int, tokens: int | None, max_tokens: Any) -> XinferenceContextOverflowError:
    """Return the error with the sizes of the prompt and the context."""
    size = f"of {tokens} tokens" if tokens is not None else "sent"
    kept = f", {max_tokens} of them kept for the answer" if isinstance(max_tokens, int) else ""
    msg = (
        f"The prompt {size} does not fit the context of model {model.uid!r}, {length} tokens{kept}. Send "
        "less, ask for fewer max_tokens, or launch the model with a larger context."
    )
    return XinferenceContextOverflowError(msg, model_uid=model.uid)


def _room(parameters: Mapping[str, Any], context_length: int) -> int:
    kept = parameters.get("max_tokens")
    return context_length - (kept if isinstance(kept, int) and kept > 0 else 0) - _SPARE_TOKENS
