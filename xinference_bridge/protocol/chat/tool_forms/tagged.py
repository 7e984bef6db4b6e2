"""Calls between `<tool_call>` and `</tool_call>`: JSON (Qwen, SmolLM2), `<function=…>` (Qwen3-Coder) or GLM's. Pure."""

from __future__ import annotations

import re

from typing_extensions import override

from xinference_bridge.protocol.chat.tool_forms.form import ToolForm, begins_with, last_open, parts
from xinference_bridge.protocol.chat.tool_forms.written import (
    CUT,
    NAMELESS,
    Offered,
    WrittenCall,
    calls_of_json,
    json_depth,
    object_text,
    value_text,
)

_FUNCTION = re.compile(r"<function\s*=\s*([\w\-.]+)\s*>")
_PARAMETER = re.compile(r"<parameter\s*=\s*([\w\-.]+)\s*>")
_KEY = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>", re.DOTALL)
_FENCE = re.compile(r"```\w*[ \t]*\n?(.*?)\s*(?:```\s*)?\Z", re.DOTALL)
_GLM_NAME = re.compile(r"[\w\-.]+")
_LONGEST_NAME = 128


class TaggedForm(ToolForm):
    """The three forms that share these tags. They differ in what follows the opening tag."""

    __slots__ = ("_glm",)

    def __init__(self, *, glm: bool = True) -> None:
        super().__init__("<tool_call>", "</tool_call>")
        self._glm = glm  # the family writes GLM's form, or its form is unknown

    @override
    def plausible(self, inside: str) -> bool | None:
        words = inside.lstrip()
        if not words:
            return None
        if words[0] in "{[":
            return True
        marked = begins_with(words, "<function", "```", self.opener)
        if marked is not False or not self._glm:
            return marked
        name = _GLM_NAME.match(words)
        if name is None or name.end() > _LONGEST_NAME:
            return False
        rest = words[name.end() :]
        return None if not rest else begins_with(rest, "<arg_key>", self.closer)

    @override
    def closes(self, inside: str) -> bool:
        words = inside.lstrip()
        if words.startswith("<function"):
            return not last_open(inside, "<parameter", "</parameter>")
        if words[:1] in ("{", "["):
            return not json_depth(inside)[0]
        return not last_open(inside, "<arg_value>", "</arg_value>")

    @override
    def read(self, inside: str, offered: Offered, *, closed: bool) -> list[WrittenCall] | None:
        words = inside.strip()
        if fenced := _FENCE.match(words):
            words = fenced.group(1).strip()
        if words.startswith("<function"):
            return _function(words, offered, closed=closed)
        if words[:1] in ("{", "["):
            calls = calls_of_json(words, closed=closed)
            return [WrittenCall("", words, NAMELESS)] if calls is None else calls
        return _glm(words, offered, closed=closed) if words and self._glm else None


def _function(words: str, offered: Offered, *, closed: bool) -> list[WrittenCall] | None:
    name = _FUNCTION.match(words)
    if name is None:
        return [WrittenCall("", words, NAMELESS if closed else CUT)]
    inside = words[name.end() :]
    pairs = []
    for begin, raw in parts(inside, _PARAMETER, "</parameter>", ("<parameter", "</function>")):
        # The template puts one newline on each side of a value; other white space belongs to it.
        value = raw.removeprefix("\n").removesuffix("\n")
        pairs.append((begin[1], value_text(value, is_text=offered.is_text(name[1], begin[1]))))
    if closed or inside.rstrip().endswith("</function>"):
        return [WrittenCall(name[1], object_text(pairs))]
    return [WrittenCall(name[1], inside, CUT)]


def _glm(words: str, offered: Offered, *, closed: bool) -> list[WrittenCall] | None:
    name = words.partition("<arg_key>")[0].strip()
    if "<arg_key>" not in words and name not in offered.names:
        # "between <tool_call> and </tool_call>" is prose: a call without arguments must name a tool that there is.
        return None
    if not closed:
        return [WrittenCall(name, words[len(name) :].strip(), CUT)]
    pairs = []
    for begin, raw in parts(words, _KEY, "</arg_value>", ("<arg_key>",)):
        key = begin[1].strip()
        pairs.append((key, value_text(raw, is_text=offered.is_text(name, key))))
    return [WrittenCall(name, object_text(pairs))]
