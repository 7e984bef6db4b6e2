"""Measures the maximum tokens of one request with test requests, because llama.cpp divides its context among slots."""

from __future__ import annotations

from dataclasses import dataclass

from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.connection_settings import CallOptions
from xinference_bridge.errors import XinferenceContextOverflowError, XinferenceServerError
from xinference_bridge.models.chat import ChatHandle
from xinference_bridge.protocol.chat.request import ChatCall
from xinference_bridge.protocol.engines import engine_named
from xinference_bridge.protocol.model_info import ModelInfo

#: The search ends when the limit is known to this many tokens.
_CLOSE = 16
_MOST_SLOTS = 64
_SHORT_WORDS = 32
#: One token each in the vocabularies of the tested families. The report uses the server's count.
_WORD = "a "


@dataclass(frozen=True, slots=True)
class Measured:
    """The longest prompt that was answered and the shortest that was rejected, in tokens; None if there was none."""

    answered: int
    refused: int | None
    slots: int | None
    """The number of slots that share the described context, if that explains the limit."""


def why_not_measured(model: ModelInfo) -> str | None:
    """Return why this model's context is not measured; None if it is."""
    if not model.can("chat"):
        return "only the context of chat models is measured"
    if model.context_length is None:
        return "the server does not tell the context of this model"
    engine = engine_named(model.engine)
    if engine.truncates_silently:
        return f"{engine.name} cuts a longer prompt in silence, so that asking tells nothing"
    return None


def measure_context(connection: XinferenceConnection, model: ModelInfo, options: CallOptions) -> Measured:
    """Send prompts of growing length and return the two lengths between which the model's limit lies.

    Each request generates one token. About ten requests are sent; the engine computes a common prefix only once.

    Raises:
        XinferenceError: A short prompt fails too, or a request fails for another reason.
    """
    described = model.context_length or 0
    handle = ChatHandle(connection, model.uid)

    def tokens(words: int) -> int | None:
        call = ChatCall([{"role": "user", "content": _WORD * words}], {"max_tokens": 1, "temperature": 0})
        try:
            usage = handle.chat(call, options).usage
        except XinferenceContextOverflowError:
            return None
        except XinferenceServerError:
            if words == _SHORT_WORDS:
                raise
            return None  # llama.cpp's rejection, for which 4.1.0 reports no reason
        return usage.prompt_tokens if usage is not None else words

    short = tokens(_SHORT_WORDS) or 0
    beside = short - _SHORT_WORDS  # the tokens that the template adds
    answered, refused = short, None
    low, high = _SHORT_WORDS, max(described - beside - 1, _SHORT_WORDS + _CLOSE)
    if (whole := tokens(high)) is not None:
        return Measured(whole, None, None)
    refused = high + beside
    while high - low > _CLOSE:
        middle = (low + high) // 2
        counted = tokens(middle)
        if counted is None:
            high, refused = middle, middle + beside
        else:
            low, answered = middle, counted
    return Measured(answered, refused, _slots(described, answered, refused))


def _slots(described: int, answered: int, refused: int) -> int | None:
    return next((n for n in range(2, _MOST_SLOTS + 1) if answered - 1 <= described // n <= refused + 1), None)
