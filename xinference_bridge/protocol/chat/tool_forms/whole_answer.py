"""An answer that is nothing but a call: bare JSON or JSON in a fence, as small models and Llama 3 write it, or GLM-4's.

Read as a call only when it names a tool that the model was offered: JSON is an answer like any other. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from xinference_bridge.protocol.chat.tool_forms.written import (
    CUT,
    WrittenCall,
    calls_of_json,
    json_depth,
    json_ends,
    json_text,
)

#: So many characters decide whether an answer may be a call; what still looks like one then is held to its end.
DECIDING = 400

_FENCE_BEGUN = re.compile(r"`{1,2}$|```[ \t]*(?:[a-z_+\-]{0,20})[ \t]*$", re.IGNORECASE)
_FENCE = re.compile(
    r"```[ \t]*(?:json|jsonc|json5|python|py|javascript|js|text|txt|xml|tool_calls?|tool_code|)[ \t]*\n", re.IGNORECASE
)
_FENCE_END = re.compile(r"\s*```\s*\Z")
_KEYS = ("name", "tool_name", "function", "tool", "type", "id", "arguments", "parameters", "args", "tool_calls")
_FIRST_KEY = re.compile(r"""["']?(\w*)(["']?)\s*(:?)\s*""")


def may_be_call(answer: str, names: Iterable[str], openers: Iterable[str]) -> bool:
    """Return whether an answer that begins so may turn out to be a call; never again once it was not."""
    words = answer.lstrip()[:DECIDING]
    if not words or any(_name_line(words, name) for name in names):
        return True
    if words[0] == "`":
        fence = _FENCE.match(words)
        if fence is None:
            return _FENCE_BEGUN.match(words) is not None
        words = words[fence.end() :].lstrip()
        if not words:
            return True
        if words[0] == "<":
            return any(opener.startswith(words) or words.startswith(opener) for opener in openers)
    if words[0] not in "{[":
        return False
    return _json_may_be_call(words.lstrip("[ \t\r\n"), tuple(names))


def _name_line(words: str, name: str) -> bool:
    """GLM-4 writes the name, a newline and the arguments."""
    if len(words) <= len(name):
        return name.startswith(words)
    rest = words.removeprefix(name).lstrip(" \t")
    return words.startswith(name) and (not rest or (rest[0] == "\n" and rest.lstrip()[:1] in ("", "{")))


def _json_may_be_call(words: str, names: tuple[str, ...]) -> bool:
    if not words:
        return True
    if words[0] != "{":
        return False
    words = words[1:].lstrip()
    key = _FIRST_KEY.match(words)
    if key is None or not words:
        return not words
    if not key[3]:
        return key.end() == len(words) and any(
            known == key[1] if key[2] else known.startswith(key[1]) for known in _KEYS
        )
    if key[1] not in _KEYS:
        return False
    value = words[key.end() :]
    if key[1] not in ("name", "tool_name", "function", "tool") or value[:1] not in ('"', "'"):
        return True
    said, closing, _ = value[1:].partition(value[0])
    return any(name == said if closing else name.startswith(said) for name in names)


def read_whole(answer: str, names: frozenset[str]) -> list[WrittenCall] | None:
    """Return the calls that the whole answer is; None when it is text."""
    words = answer.strip()
    for name in names:
        rest = words.removeprefix(name).lstrip(" \t")
        if words.startswith(name) and rest.startswith("\n"):
            return _named(name, rest.strip())
    if fence := _FENCE.match(words):
        inner = words[fence.end() :]
        return None if inner.lstrip().startswith("<") else _offered(_unfenced(words), names)
    return _offered(words, names)


def _named(name: str, arguments: str) -> list[WrittenCall] | None:
    if not arguments.startswith("{") or ((ends := json_ends(arguments)) and arguments[ends[0] :].strip()):
        return None  # words follow it
    in_string, depth = json_depth(arguments)
    if in_string or depth > 0:
        return [WrittenCall(name, arguments, CUT)]
    return calls_of_json(f'{{"name": {json_text(name)}, "arguments": {arguments}}}', bare=True)


def fenced_tags(answer: str) -> str | None:
    """Return what stands in the fence when the whole answer is one, with tags at its beginning; else None."""
    words = answer.strip()
    fence = _FENCE.match(words)
    if fence is None or not words[fence.end() :].lstrip().startswith("<"):
        return None
    inner = words[fence.end() :]
    end = _FENCE_END.search(inner)
    return inner[: end.start()] if end else inner


def _unfenced(words: str) -> str:
    """Return the JSON in one fence or in several that stand one after another."""
    pieces: list[str] = []
    position = 0
    while (fence := _FENCE.match(words, position)) is not None:
        end = words.find("```", fence.end())
        while end != -1 and json_depth(words[fence.end() : end])[0]:
            end = words.find("```", end + 3)  # those stood in a string
        if end == -1:
            return "\n".join([*pieces, words[fence.end() :]])
        pieces.append(words[fence.end() : end])
        position = end + 3
        position += len(words[position:]) - len(words[position:].lstrip())
    return "\n".join([*pieces, words[position:]]).strip()


def _offered(words: str, names: frozenset[str]) -> list[WrittenCall] | None:
    if words[:1] not in ("{", "["):
        return None
    calls = calls_of_json(words, bare=True, closed=False)
    if calls is None or any(call.name not in names for call in calls):
        return None
    return calls
