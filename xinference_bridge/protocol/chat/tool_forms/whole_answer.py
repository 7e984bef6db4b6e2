"""An answer that is nothing but a call: bare JSON or JSON in a fence, as small models and Llama 3 write it, or GLM-4's.

Read as a call only when it names a tool that the model was offered: JSON is an answer like any other. Pure.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from xinference_bridge.protocol.chat.tool_forms.tagged import TaggedForm
from xinference_bridge.protocol.chat.tool_forms.written import (
    CUT,
    Offered,
    WrittenCall,
    calls_of_json,
    json_depth,
    json_ends,
    json_text,
    named_call,
    why_unreadable,
)

#: So many characters decide whether an answer may be a call; what still looks like one then is held to its end.
DECIDING = 400
#: A call in Python that is longer is not parsed.
_MOST_PYTHON = 20_000

_FENCE_BEGUN = re.compile(r"`{1,2}$|```[ \t]*(?:[a-z_+\-]{0,20})[ \t]*$", re.IGNORECASE)
_FENCE = re.compile(
    r"```[ \t]*(?:json|jsonc|json5|python|py|javascript|js|text|txt|xml|tool_calls?|tool_code|)[ \t]*\n", re.IGNORECASE
)
_FENCE_END = re.compile(r"\s*```\s*\Z")
_KEYS = ("name", "tool_name", "function", "tool", "type", "id", "arguments", "parameters", "args", "tool_calls")
_FIRST_KEY = re.compile(r"""["']?(\w*)(["']?)\s*(:?)\s*""")


#: What models write before the JSON of a call: Qwen2.5-Coder, Mistral, Llama 3, Granite and Phi-4, Phi-4-mini, Gorilla.
_BEFORE = ("<tools>", "[TOOL_CALLS]", "<|python_tag|>", "<|tool_call|>", "functools", "<functioncall>", "<response>")
#: And after it: the closing tags of those, and the tokens that end a turn, where they leak into the text.
_AFTER = re.compile(
    r"(?:\s*(?:</(?:tools|tool_call|functioncall|response|s)>|<\|(?:/tool_call|im_end|eot_id|eom_id|end)\|>))+\s*\Z"
)
#: Qwen3-Coder's form without the tags around it, which small models forget, and Llama 3.1's with JSON in it.
_FUNCTION = "<function="


#: `(key=`: a call in Python, as far as it came.
_PYTHON_BEGUN = re.compile(r"\(\s*(?:\Z|\)|\w+\s*(?:\Z|=))")


def _unwrapped(words: str) -> str:
    """Return an answer without the marks of a call that stand before it."""
    before = next((mark for mark in _BEFORE if words.startswith(mark)), "")
    return words[len(before) :].lstrip() if before else words


def may_be_call(answer: str, names: Iterable[str], openers: Iterable[str]) -> bool:
    """Return whether an answer that begins so may turn out to be a call; never again once it was not."""
    words = answer.lstrip()[:DECIDING]
    if any(mark.startswith(words) for mark in _BEFORE):
        return True
    words = _unwrapped(words)
    if not words or any(_name_line(words, name) for name in names):
        return True
    if words[0] == "<" and any(_begins(words, f"{_FUNCTION}{name}>") for name in names):
        return True
    if words[0] == "[" and any(_python_line(words[1:].lstrip(), name) for name in names):
        return True
    if words[0] == "`":
        fence = _FENCE.match(words)
        if fence is None:
            return _FENCE_BEGUN.match(words) is not None
        words = words[fence.end() :].lstrip()
        if not words:
            return True
        if any(_name_line(words, name) for name in names):
            return True
        if words[0] == "<":
            return any(opener.startswith(words) or words.startswith(opener) for opener in openers)
    if words[0] not in "{[":
        return False
    return _json_may_be_call(words.lstrip("[ \t\r\n"), tuple(names))


def _name_line(words: str, name: str) -> bool:
    """GLM-4 writes the name, a newline and the arguments; others a call in Python."""
    if len(words) <= len(name):
        return name.startswith(words)
    rest = words.removeprefix(name).lstrip(" \t")
    if not words.startswith(name):
        return False
    return not rest or _PYTHON_BEGUN.match(rest) is not None or (rest[0] == "\n" and rest.lstrip()[:1] in ("", "{"))


def _python_line(words: str, name: str) -> bool:
    return _begins(words, name) and (len(words) <= len(name) or _PYTHON_BEGUN.match(words[len(name) :]) is not None)


def _begins(words: str, opening: str) -> bool:
    return words.startswith(opening) or opening.startswith(words)


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
    words = _AFTER.sub("", _unwrapped(answer.strip())).strip()
    if words.startswith(_FUNCTION):
        return _functions(words, names)
    for name in names:
        rest = words.removeprefix(name).lstrip(" \t")
        if words.startswith(name) and rest.startswith("\n"):
            return _named(name, rest.strip())
    if fence := _FENCE.match(words):
        inner = words[fence.end() :]
        return None if inner.lstrip().startswith("<") else _offered(_unfenced(words), names)
    return _offered(words, names)


_FUNCTION_OF_JSON = re.compile(r"<function=([^>\s]+)>\s*(\{.*\})\s*(?:</function>)?", re.DOTALL)


def _functions(words: str, names: frozenset[str]) -> list[WrittenCall] | None:
    """Return the calls of an answer that begins with `<function=NAME>`."""
    if (found := _FUNCTION_OF_JSON.fullmatch(words)) is not None:
        calls: list[WrittenCall] | None = [named_call(found[1], found[2])]
    else:
        calls = TaggedForm(glm=False).read(words, Offered(), closed=words.rstrip().endswith("</function>"))
    return calls if calls and all(call.name in names for call in calls) else None


def _python_calls(words: str, names: frozenset[str]) -> list[WrittenCall] | None:
    """Return the calls of `name(key=value)` or `[name(…), other(…)]`, as Llama 3.2 and Gemma write them."""
    if len(words) > _MOST_PYTHON:
        return None
    try:
        tree = ast.parse(words, mode="eval").body
        nodes = tree.elts if isinstance(tree, ast.List) else [tree]
        calls = []
        for node in nodes:
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
                return None
            if node.func.id not in names or any(keyword.arg is None for keyword in node.keywords):
                return None
            arguments = json_text({str(word.arg): ast.literal_eval(word.value) for word in node.keywords})
            calls.append(WrittenCall(node.func.id, arguments, why_unreadable(arguments)))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    return calls or None


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
    if words[:1] != "{" and (found := _python_calls(words, names)) is not None:
        return found
    if words[:1] not in ("{", "["):
        return None
    calls = calls_of_json(words, bare=True, closed=False)
    if calls is None or any(call.name not in names for call in calls):
        return None
    return calls
