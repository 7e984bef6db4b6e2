"""Tool calls, put together from the fragments that a server parsed or from what the model wrote into its text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from xinference_bridge.errors import XinferenceProtocolError
from xinference_bridge.protocol.shape_errors import wrong_shape


@dataclass(slots=True)
class ToolCallDelta:
    """A fragment of a tool call: the first one of an index carries `id` and `name`, later ones None for both."""

    index: int
    id: str | None
    name: str | None
    arguments: str


@dataclass(slots=True)
class ToolCall:
    """A whole tool call: `arguments` is the JSON text of an object, unless `error` says why it is not.

    `name` is "" when the model gave none. With an `error`, `arguments` is what the model wrote, to the letter.
    """

    id: str
    name: str
    arguments: str
    error: str | None = None


@dataclass(slots=True)
class _Call:
    """A tool call in the making; `told` once its first fragment went out."""

    index: int
    id: str
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    told: bool = False
    error: str | None = None


class ToolCallReader:
    """Numbers the calls of one answer as they come, and tells each fragment as a ToolCallDelta in `out`."""

    __slots__ = ("_by_wire", "_calls", "answer_id")

    def __init__(self) -> None:
        self.answer_id: Any = None
        self._calls: list[_Call] = []
        self._by_wire: dict[int, _Call] = {}

    def take(self, wire: Any, position: int, out: list[ToolCallDelta]) -> None:
        """Reads a fragment that the server parsed: `{"index": 0, "id": …, "function": {"name": …, "arguments": …}}`."""
        if type(wire) is not dict:
            raise wrong_shape("a tool call", "an object", wire)
        function = wire.get("function")
        if function is None:
            function = {}
        elif type(function) is not dict:
            raise wrong_shape("a tool call's function", "an object", function)
        call = self._find(wire, position, function)
        arguments = _arguments_text(function.get("arguments"))
        if arguments:
            call.arguments.append(arguments)
        if call.told:
            if arguments:
                out.append(ToolCallDelta(call.index, None, None, arguments))
        elif call.name:
            call.told = True
            out.append(ToolCallDelta(call.index, call.id, call.name, "".join(call.arguments)))

    def take_written(self, inside: str, out: list[ToolCallDelta]) -> None:
        """Reads a call that the model wrote into the text: `{"name": "add", "arguments": {"a": 1}}`."""
        if not inside:
            return
        number = len(self._calls)
        name, arguments, error = _call_from_text(inside)
        call = _Call(number, self._derived_id(number), name, [arguments], told=True, error=error)
        self._calls.append(call)
        out.append(ToolCallDelta(number, call.id, name, arguments))

    def finish(self, out: list[ToolCallDelta]) -> list[ToolCall]:
        """The whole calls; tells what of them was still missing."""
        calls = []
        for call in self._calls:
            arguments = "".join(call.arguments)
            if not call.told:
                out.append(ToolCallDelta(call.index, call.id, call.name, arguments))
            if not arguments.strip():
                # A function without parameters: some servers send no arguments at all.
                out.append(ToolCallDelta(call.index, None, None, "{}"))
                arguments += "{}"
            error = call.error
            if error is None:
                error = _why_unreadable(arguments) if call.name else _NAMELESS
            calls.append(ToolCall(call.id, call.name, arguments, error))
        return calls

    def _find(self, wire: dict[str, Any], position: int, function: dict[str, Any]) -> _Call:
        """The call that this fragment belongs to, by its index, or by its place where it has none."""
        index, call_id, name = wire.get("index"), wire.get("id") or "", function.get("name") or ""
        key = position if index is None else index
        for what, value, kind in (("index", key, int), ("id", call_id, str), ("function's name", name, str)):
            if type(value) is not kind:
                raise wrong_shape(f"a tool call's {what}", kind.__name__, value)
        call = self._by_wire.get(key)
        named_again = call is not None and call.told and name != ""
        if call is None or (named_again and (call_id != call.id if call_id else index is None)):
            # Named again under a new id, or with neither id nor index: a new call that the server did not number.
            number = len(self._calls)
            call = self._by_wire[key] = _Call(number, call_id or self._derived_id(number))
            self._calls.append(call)
        if not call.told:
            call.id = call_id or call.id
            call.name = name
        return call

    def _derived_id(self, number: int) -> str:
        """The same for the same answer: a random one would differ at every replay of a recording."""
        answer = self.answer_id
        return f"call_{answer}_{number}" if type(answer) is str and answer else f"call_{number}"


_NAMELESS = "the call names no function"
_ARGUMENTS = re.compile(r'"(?:arguments|parameters)"\s*:\s*')


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


# As the server's own tool parser: a newline within a string, which models write in code, is let pass.
_LENIENT = json.JSONDecoder(strict=False, parse_constant=_refuse)
_STRICT = json.JSONDecoder()


def _call_from_text(inside: str) -> tuple[str, str, str | None]:
    """The name, the arguments as JSON text, and why they cannot be read; a call without a name is kept as it was."""
    try:
        value = _LENIENT.decode(inside)
    except (ValueError, RecursionError) as error:
        return "", inside, f"the call is not JSON: {error}"
    name = value.get("name") if type(value) is dict else None
    if type(name) is not str or not name:
        return "", inside, _NAMELESS
    arguments = value.get("arguments", value.get("parameters"))
    if type(arguments) is dict:
        text = _own_text(inside, arguments) or _arguments_text(arguments)
    else:
        text = _arguments_text(arguments) or "{}"
    return name, text, _why_unreadable(text)


def _own_text(inside: str, arguments: dict[str, Any]) -> str | None:
    """The model's own JSON of the arguments: its spacing and numbers are those that a parsing server would pass on."""
    for found in _ARGUMENTS.finditer(inside):
        try:
            value, end = _STRICT.raw_decode(inside, found.end())
            same = value == arguments
        except (ValueError, RecursionError):
            continue
        if same:
            return inside[found.end() : end]
    return None


def _arguments_text(arguments: Any) -> str:
    """Arguments as JSON text: some servers send the object itself."""
    if arguments is None:
        return ""
    if type(arguments) is str:
        return arguments
    try:
        return orjson.dumps(arguments).decode()
    except TypeError:
        # What orjson does not write though JSON has it: integers beyond 64 bits, deep nesting.
        try:
            return json.dumps(arguments, ensure_ascii=True)
        except (TypeError, ValueError, RecursionError) as error:
            raise XinferenceProtocolError(f"A tool call's arguments cannot be written as JSON: {error}") from error


def _why_unreadable(arguments: str) -> str | None:
    """None when this is the JSON text of an object; else the reason."""
    try:
        value = orjson.loads(arguments)
    except ValueError as error:
        return f"the arguments are not JSON: {error}"
    return None if type(value) is dict else "the arguments are not a JSON object"
