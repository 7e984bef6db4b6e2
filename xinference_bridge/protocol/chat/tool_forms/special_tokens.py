"""Calls between special tokens: DeepSeek R1 to V3.1, Gemma 4 and Kimi K3. Pure."""

from __future__ import annotations

import re

from typing_extensions import override

from xinference_bridge.protocol.chat.tool_forms.form import ToolForm, begins_with, last_open, parts
from xinference_bridge.protocol.chat.tool_forms.written import (
    CUT,
    LENIENT,
    NAMELESS,
    Offered,
    WrittenCall,
    json_depth,
    json_text,
    named_call,
    object_text,
    repaired,
    value_text,
    why_unreadable,
)

_CALL, _CALL_END, _SEP = "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>"


class DeepSeekForm(ToolForm):
    """DeepSeek R1 (`function`, the name, and the arguments in a fence) and V3.1 (the name, and the arguments)."""

    __slots__ = ()

    def __init__(self, *, lone: bool = False) -> None:
        """Read calls within their outer tokens, or a `lone` one without them, as distilled models write it."""
        super().__init__(*((_CALL, _CALL_END) if lone else ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>")))

    @override
    def plausible(self, inside: str) -> bool | None:
        words = inside.lstrip()
        # V3.1 may leave out the token before the first call.
        if words and not words.startswith("<"):
            return True
        return begins_with(inside, _CALL)

    @override
    def closes(self, inside: str) -> bool:
        return not json_depth(inside.rpartition(_SEP)[2])[0]

    @override
    def read(self, inside: str, offered: Offered, *, closed: bool) -> list[WrittenCall] | None:
        calls = []
        for piece in _calls_between(inside):
            name, separator, arguments = piece.partition(_SEP)
            if name.strip() == "function" and separator:
                name, separator, arguments = arguments.partition("\n")
            if not separator:
                calls.append(WrittenCall("", piece.strip(), NAMELESS if closed else CUT))
                continue
            ended = closed or _CALL_END in arguments
            arguments = arguments.rpartition(_CALL_END)[0] if _CALL_END in arguments else arguments
            if fenced := _JSON_FENCE.fullmatch(arguments.strip()):
                arguments = fenced[1]
            calls.append(
                named_call(name.strip(), arguments.strip())
                if ended
                else WrittenCall(name.strip(), arguments.strip(), CUT)
            )
        return calls or None


_JSON_FENCE = re.compile(r"```json\s*(.*?)\s*(?:```)?", re.DOTALL)


def _calls_between(inside: str) -> list[str]:
    """Return each call with its closing token; such a token within a string of its arguments parts nothing."""
    pieces: list[str] = []
    for piece in inside.split(_CALL):
        if pieces and json_depth(pieces[-1].partition(_SEP)[2])[0]:
            pieces[-1] += _CALL + piece
        elif piece.strip():
            pieces.append(piece)
    return pieces


class GemmaForm(ToolForm):
    """Gemma 4: `<|tool_call>call:name{key:<|"|>text<|"|>,other:1}<tool_call|>`."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("<|tool_call>", "<tool_call|>")

    @override
    def plausible(self, inside: str) -> bool | None:
        return begins_with(inside, "call:", "call :")

    @override
    def closes(self, inside: str) -> bool:
        return inside.count(_QUOTE_MARK) % 2 == 0

    @override
    def read(self, inside: str, offered: Offered, *, closed: bool) -> list[WrittenCall] | None:
        head = _GEMMA_HEAD.match(inside)
        if head is None:
            return [WrittenCall("", inside, NAMELESS if closed else CUT)]
        begin, end = inside.find("{", head.end()), inside.rfind("}")
        if not closed:
            return [WrittenCall(head[1], inside[head.end() :], CUT)]
        if begin == -1 or end < begin:
            return [WrittenCall(head[1], "{}")]
        pieces = inside[begin : end + 1].split(_QUOTE_MARK)
        text = "".join(json_text(piece) if place % 2 else _quoted_keys(piece) for place, piece in enumerate(pieces))
        return [WrittenCall(head[1], text, why_unreadable(text))]


_QUOTE_MARK = '<|"|>'
_GEMMA_HEAD = re.compile(r"\s*call\s*:\s*([^{\s]+)", re.IGNORECASE)
_GEMMA_KEY = re.compile(r"([{,])\s*([\w\-]+)\s*:")


def _quoted_keys(text: str) -> str:
    return _GEMMA_KEY.sub(r'\1"\2":', text)


_OPEN, _CLOSE = r"<\|open\|>", r"<\|close\|>"
_KIMI_CALL = re.compile(rf"{_OPEN}\s*call\s+((?:(?!<\|sep\|>).)*?)<\|sep\|>", re.DOTALL)
_KIMI_ARGUMENT = re.compile(rf"{_OPEN}\s*argument\s+((?:(?!<\|sep\|>).)*?)<\|sep\|>", re.DOTALL)
_KIMI_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_CALL_CLOSE, _ARGUMENT_CLOSE = "<|close|>call<|sep|>", "<|close|>argument<|sep|>"


class KimiForm(ToolForm):
    """Kimi K3: a channel of calls, each with a channel for each argument and its kind."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("<|open|>tools<|sep|>", "<|close|>tools<|sep|>")

    @override
    def plausible(self, inside: str) -> bool | None:
        return begins_with(inside, "<|open|>call", "<|open|> call")

    @override
    def closes(self, inside: str) -> bool:
        return not last_open(inside, "<|open|>call", _CALL_CLOSE) and not last_open(
            inside, "<|open|>argument", _ARGUMENT_CLOSE
        )

    @override
    def read(self, inside: str, offered: Offered, *, closed: bool) -> list[WrittenCall] | None:
        calls = []
        end = 0
        for begin, body in parts(inside, _KIMI_CALL, _CALL_CLOSE, ("<|open|>call",)):
            end = begin.end() + len(body) + len(_CALL_CLOSE)
            pairs = []
            for argument, raw in parts(body, _KIMI_ARGUMENT, _ARGUMENT_CLOSE, ("<|open|>argument",)):
                kind = _attributes(argument[1])
                if key := kind.get("key"):
                    pairs.append((key, value_text(raw, is_text=kind.get("type", "string") == "string")))
            name = _attributes(begin[1]).get("tool", "")
            calls.append(WrittenCall(name, object_text(pairs), None if name else NAMELESS))
        rest = inside[end:].strip()
        if rest and not closed:
            begun = _KIMI_CALL.match(rest)
            name = _attributes(begun[1]).get("tool", "") if begun else ""
            calls.append(WrittenCall(name, rest[begun.end() :] if begun else rest, CUT))
        return calls or None


def _attributes(text: str) -> dict[str, str]:
    return {key: value.replace("&quot;", '"').replace("&amp;", "&") for key, value in _KIMI_ATTRIBUTE.findall(text)}


class FencedForm(ToolForm):
    """DeepSeek V3: JSON with a name and parameters, in a fence that may stand anywhere in the answer."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("```json", "```")

    @override
    def plausible(self, inside: str) -> bool | None:
        words = inside.lstrip()
        if words[:1] not in ("", "{"):
            return False
        return begins_with(words[1:], '"name"', "'name'", "name")

    @override
    def closes(self, inside: str) -> bool:
        return not json_depth(inside)[0]

    @override
    def read(self, inside: str, offered: Offered, *, closed: bool) -> list[WrittenCall] | None:
        try:
            value = LENIENT.decode(inside.strip())
        except (ValueError, RecursionError):
            value = repaired(inside) if closed else None
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str):
            return None if closed else [WrittenCall("", inside.strip(), CUT)]
        arguments = value.get("parameters", value.get("arguments", {}))
        return [WrittenCall(name, json_text(arguments), why_unreadable(json_text(arguments)))]
