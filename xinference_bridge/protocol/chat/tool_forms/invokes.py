"""Calls as `<invoke name="…">` with a tag for each parameter: DeepSeek from V3.2, MiniMax; and MiniCPM5's. Pure."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from typing_extensions import override

from xinference_bridge.protocol.chat.tool_forms.form import ToolForm, begins_with, last_open, parts
from xinference_bridge.protocol.chat.tool_forms.written import (
    CUT,
    Offered,
    WrittenCall,
    json_text,
    object_text,
    value_text,
)


class InvokesForm(ToolForm):
    """Any number of invocations between two outer tags; `mark` stands in all their tags (`<｜DSML｜invoke …>`)."""

    __slots__ = ("_invoke", "_invoke_end", "_mark", "_parameter", "_parameter_end")

    def __init__(self, outer: str, mark: str = "") -> None:
        super().__init__(f"<{mark}{outer}>", f"</{mark}{outer}>")
        self._mark = mark
        self._invoke = re.compile(rf"<{mark}invoke\s+name=[\"']([^\"']+)[\"']\s*>")
        self._invoke_end = f"</{mark}invoke>"
        self._parameter = re.compile(rf'<{mark}parameter\s+name="([^"]+)"(?:\s+string="(true|false)")?\s*>')
        self._parameter_end = f"</{mark}parameter>"

    @override
    def plausible(self, inside: str) -> bool | None:
        return begins_with(inside, f"<{self._mark}invoke")

    @override
    def closes(self, inside: str) -> bool:
        return not last_open(inside, f"<{self._mark}invoke", self._invoke_end) and not last_open(
            inside, f"<{self._mark}parameter", self._parameter_end
        )

    @override
    def read(self, inside: str, offered: Offered, *, closed: bool) -> list[WrittenCall] | None:
        calls = []
        end = 0
        for begin, body in parts(inside, self._invoke, self._invoke_end, (f"<{self._mark}invoke",)):
            calls.append(WrittenCall(begin[1], self._arguments(begin[1], body, offered)))
            end = begin.end() + len(body) + len(self._invoke_end)
        rest = inside[end:].strip()
        if rest and not closed:
            begun = self._invoke.match(rest)
            calls.append(WrittenCall(begun[1] if begun else "", rest[begun.end() :] if begun else rest, CUT))
        return calls or None

    def _arguments(self, name: str, body: str, offered: Offered) -> str:
        pairs = []
        for begin, raw in parts(body, self._parameter, self._parameter_end, (f"<{self._mark}parameter",)):
            key, declared = begin[1], begin[2]
            is_text = offered.is_text(name, key) if declared is None else declared == "true"
            pairs.append((key, _trimmed(raw, is_text=is_text)))
        return object_text(pairs)


def _trimmed(raw: str, *, is_text: bool) -> str:
    return value_text(raw if is_text else raw.strip(), is_text=is_text)


class MiniMaxForm(InvokesForm):
    """MiniMax: parameters as in M2, or from M3 on a tag named after each of them, nested as the arguments are."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("minimax:tool_call")

    @override
    def _arguments(self, name: str, body: str, offered: Offered) -> str:
        try:
            # Expat takes no document type within an element, so that no entity can be declared.
            root = ET.fromstring(f"<root>{_BARE_AMPERSAND.sub('&amp;', body)}</root>")  # noqa: S314
            return _elements(name, root, offered)
        except (ET.ParseError, RecursionError, ValueError):
            return super()._arguments(name, body, offered)


_BARE_AMPERSAND = re.compile(r"&(?!amp;|lt;|gt;|quot;|apos;|#[0-9]+;|#x[0-9A-Fa-f]+;)")


def _elements(name: str, root: ET.Element, offered: Offered) -> str:
    values: dict[str, list[str]] = {}
    for element in root:
        key = element.attrib["name"] if element.tag == "parameter" and "name" in element.attrib else element.tag
        is_text = len(element) == 0 and offered.is_text(name, key)
        value = json_text(element.text or "") if is_text else _element_value(element)
        values.setdefault(key, []).append(value)
    return object_text((key, _one_or_list(found)) for key, found in values.items())


def _element_value(element: ET.Element) -> str:
    children = list(element)
    if not children:
        return _trimmed(element.text or "", is_text=False)
    if all(child.tag == "item" for child in children):
        return "[" + ", ".join(map(_element_value, children)) + "]"
    values: dict[str, list[str]] = {}
    for child in children:
        values.setdefault(child.tag, []).append(_element_value(child))
    return object_text((key, _one_or_list(found)) for key, found in values.items())


def _one_or_list(values: list[str]) -> str:
    return values[0] if len(values) == 1 else "[" + ", ".join(values) + "]"


class MiniCPMForm(ToolForm):
    """MiniCPM5: `<function name="…"><param name="…">…</param></function>`, values in CDATA where they need it."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("<function name=", "</function>")

    @override
    def plausible(self, inside: str) -> bool | None:
        head = _QUOTED.match(inside)
        if head:
            return True
        return None if _QUOTED_BEGUN.fullmatch(inside) else False

    @override
    def closes(self, inside: str) -> bool:
        return not last_open(inside, "<![CDATA[", "]]>") and not last_open(inside, "<param ", "</param>")

    @override
    def read(self, inside: str, offered: Offered, *, closed: bool) -> list[WrittenCall] | None:
        head = _QUOTED.match(inside)
        if head is None:
            return None
        name, body = head[1], inside[head.end() :]
        if not closed:
            return [WrittenCall(name, body, CUT)]
        pairs = []
        for begin, raw in parts(body, _PARAM, "</param>", ("<param ",)):
            value = raw.strip()
            if value.startswith("<![CDATA[") and value.endswith("]]>"):
                value = value[len("<![CDATA[") : -len("]]>")]
            pairs.append((begin[1], value_text(value, is_text=offered.is_text(name, begin[1]))))
        return [WrittenCall(name, object_text(pairs))]


_QUOTED = re.compile(r"""["']([^"'<>]{1,128})["']\s*>""")
_QUOTED_BEGUN = re.compile(r"""(["'][^"'<>]{0,128}(["']\s*)?)?""")
_PARAM = re.compile(r"""<param\s+name=["']([^"']+)["']\s*>""")
