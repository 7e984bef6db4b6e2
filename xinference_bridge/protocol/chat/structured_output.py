"""Parse a structured answer: JSON in a tool call or in the text. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from xinference_bridge.errors import XinferenceUnsupportedError
from xinference_bridge.protocol.chat.json_schema import of_objects, violation
from xinference_bridge.protocol.chat.request import StructuredOutput
from xinference_bridge.protocol.exact_json import loads_exact

#: A fence that a model put its JSON into: closed, left open, on one line, of whatever language it says.
_FENCE = re.compile(r"```[a-zA-Z0-9_+-]*\s*")
_DECODER = json.JSONDecoder()
#: How many places of a text are tried: a text of braces alone would take quadratic time.
_MOST_PLACES = 50


def json_of_answer(text: str, calls: Sequence[tuple[str, str]], wanted: StructuredOutput) -> str:
    """Return the JSON text to validate: the arguments of the requested call, or the JSON in the text.

    Args:
        text: The answer's text. What stands around its JSON, a fence or words, is left out.
        calls: Names with their arguments as JSON text. A lone call under another name is taken for the wanted one.
        wanted: Where a text holds several JSON values, the first that is of its schema is taken.
    """
    named = [arguments for name, arguments in calls if name == wanted.name]
    for arguments in named or [arguments for _, arguments in calls[:1]]:
        return arguments
    candidates = list(_candidates(text))
    return next((found for found in candidates if _fits(found, wanted)), candidates[0] if candidates else text.strip())


def _candidates(text: str) -> Iterator[str]:
    """Yield the JSON values within a text: all of it, then what fences hold, then whatever begins with a brace."""
    whole = text.strip()
    if _is_json(whole):
        yield whole
        return
    places = [fence.end() for fence in _FENCE.finditer(text)]
    places += [brace.start() for brace in re.finditer(r"[{\[]", text)]
    for place in places[:_MOST_PLACES]:
        try:
            _, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            continue
        if _is_json(found := text[place:end]):
            yield found


def _is_json(text: str) -> bool:
    try:
        loads_exact(text)
    except ValueError:
        return False
    return True


def _fits(found: str, wanted: StructuredOutput) -> bool:
    value = loads_exact(found)
    return (isinstance(value, dict) or not of_objects(wanted.schema)) and violation(value, wanted.schema) is None


def what_was_said(text: str, calls: Iterable[tuple[str, str]]) -> str:
    """Return the model's text and its calls, including invalid ones, for an error."""
    return " ".join(filter(None, [text, *(f"{name or '?'}({arguments})" for name, arguments in calls)]))


def not_structured(
    shown: str, wanted: StructuredOutput, why: str, finish_reason: str | None = None
) -> XinferenceUnsupportedError:
    """Return the error for an answer that does not match. It says whether the answer was truncated."""
    cut = " It was cut at max_tokens: allow more." if finish_reason == "length" else ""
    msg = (
        f"The answer is not a {wanted.name}: {why}.{cut} The model said {shown[:300]!r}. The engines that hold a model "
        "to a schema are llama.cpp, vLLM and SGLang; on others it has to be able to on its own."
    )
    return XinferenceUnsupportedError(msg, body=shown)
