"""A structured answer, read: the JSON that a model gave as a tool call or as text, whichever its engine made it do."""

from __future__ import annotations

import re
from collections.abc import Iterable

from xinference_bridge.errors import XinferenceUnsupportedError
from xinference_bridge.protocol.chat.request import StructuredOutput

# A model that was only asked in words puts its JSON into a fence, or a sentence before it.
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


def json_of_answer(text: str, calls: Iterable[tuple[str, str]], wanted: StructuredOutput) -> str:
    """The JSON text to validate: the arguments of the call of that name, else the text without a fence around it.

    `calls` are names with their arguments as JSON text.
    """
    for name, arguments in calls:
        if name == wanted.name:
            return arguments
    fenced = _FENCED.search(text)
    return (fenced.group(1) if fenced is not None else text).strip()


def not_structured(
    shown: str, wanted: StructuredOutput, why: str, finish_reason: str | None = None
) -> XinferenceUnsupportedError:
    """The error for an answer that is not what was wanted; it says whether the answer was cut short."""
    cut = " It was cut at max_tokens: allow more." if finish_reason == "length" else ""
    msg = (
        f"The answer is not a {wanted.name}: {why}.{cut} The model said {shown[:300]!r}. The engines that hold a model "
        "to a schema are llama.cpp, vLLM and SGLang; on others it has to be able to on its own."
    )
    return XinferenceUnsupportedError(msg, body=shown)
