"""A structured answer, read: the JSON that a model gave as a tool call or as text, whichever its engine made it do."""

from __future__ import annotations

import re

from xinference_bridge.chat_plan import StructuredOutput
from xinference_bridge.chat_stream import ChatResult
from xinference_bridge.errors import XinferenceUnsupportedError

# A model that was only asked in words puts its JSON into a fence, or a sentence before it.
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


def json_of_answer(answer: ChatResult, wanted: StructuredOutput) -> str:
    """The JSON text to validate: a call's arguments, else the text without the fence around it.

    Raises XinferenceUnsupportedError when the answer has neither.
    """
    for call in answer.tool_calls:
        if call.name == wanted.name and call.error is None:
            return call.arguments
    text = json_of_text(answer.text)
    if not text:
        raise not_structured(answer, wanted, "there is no JSON in it")
    return text


def json_of_text(text: str) -> str:
    """The text without the code fence around its JSON."""
    fenced = _FENCED.search(text)
    return (fenced.group(1) if fenced is not None else text).strip()


def not_structured(answer: ChatResult, wanted: StructuredOutput, why: str) -> XinferenceUnsupportedError:
    """The error for an answer that is not what was wanted; it says whether the answer was cut short."""
    shown = answer.text or " ".join(f"{call.name}({call.arguments})" for call in answer.tool_calls)
    cut = " It was cut at max_tokens: allow more." if answer.finish_reason == "length" else ""
    msg = (
        f"The answer is not a {wanted.name}: {why}.{cut} The model said {shown[:300]!r}. The engines that hold a model "
        "to a schema are llama.cpp, vLLM and SGLang; on others it has to be able to on its own."
    )
    return XinferenceUnsupportedError(msg, body=shown)
