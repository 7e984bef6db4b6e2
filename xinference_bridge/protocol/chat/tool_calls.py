"""Assemble tool calls from the server's fragments or from the model's text."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import orjson

from xinference_bridge.errors import XinferenceProtocolError
from xinference_bridge.protocol.chat.tool_forms.written import NAMELESS, WrittenCall, why_unreadable
from xinference_bridge.protocol.shape_errors import wrong_shape


@dataclass(slots=True)
class ToolCallDelta:
    """A fragment of a tool call. The first one of an index has `id` and `name`, later ones have None for both."""

    index: int
    id: str | None
    name: str | None
    arguments: str


@dataclass(slots=True)
class ToolCall:
    """A complete tool call. `arguments` is the JSON text of an object, unless `error` says why it is not.

    `name` is "" if the model wrote none. With an `error`, `arguments` is the model's exact text.
    """

    id: str
    name: str
    arguments: str
    error: str | None = None


@dataclass(slots=True)
class _Call:
    """An unfinished tool call; `told` once its first fragment was emitted."""

    index: int
    id: str
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    told: bool = False
    error: str | None = None


class ToolCallReader:
    """Numbers the calls of one answer in order, and adds each fragment to `out` as a ToolCallDelta.

    A fragment belongs to the call with its id, else to the one with its index, else to the last one: servers number
    their fragments in many ways.
    """

    __slots__ = ("_by_id", "_by_index", "_calls", "answer_id", "served")

    def __init__(self) -> None:
        self.answer_id: Any = None
        self.served = False  # the server parsed calls itself
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}
        self._by_index: dict[int, _Call] = {}

    @property
    def any(self) -> bool:
        """Whether there is a call."""
        return bool(self._calls)

    def take_all(self, wires: list[Any], out: list[ToolCallDelta]) -> None:
        """Read the fragments that one delta brings: `{"index": 0, "id": …, "function": {"name": …, "arguments": …}}`.

        Several fragments of one call are told as one: LangChain joins what stands in different chunks alone.
        """
        self.served = True
        told: dict[int, ToolCallDelta] = {}
        for position, wire in enumerate(wires):
            self._take(wire, position if len(wires) > 1 else None, told)
        out.extend(told.values())

    def _take(self, wire: Any, position: int | None, told: dict[int, ToolCallDelta]) -> None:
        if type(wire) is not dict:
            raise wrong_shape("a tool call", "an object", wire)
        function = wire.get("function")
        if function is None:
            function = {}
        elif type(function) is not dict:
            raise wrong_shape("a tool call's function", "an object", function)
        arguments = _arguments_text(function.get("arguments"))
        call = self._find(wire, position, function.get("name") or "", arguments)
        if call is None:
            return
        if arguments:
            call.arguments.append(arguments)
        if call.index in told:
            told[call.index].arguments += arguments
        elif call.told:
            if arguments:
                told[call.index] = ToolCallDelta(call.index, None, None, arguments)
        elif call.name:
            call.told = True
            told[call.index] = ToolCallDelta(call.index, call.id, call.name, "".join(call.arguments))

    def take_written(self, written: WrittenCall, out: list[ToolCallDelta]) -> None:
        """Add a call from the model's text."""
        number = len(self._calls)
        call = _Call(
            number, self._derived_id(number), written.name, [written.arguments], told=True, error=written.error
        )
        self._calls.append(call)
        out.append(ToolCallDelta(number, call.id, call.name, written.arguments))

    def finish(self, out: list[ToolCallDelta], *, cut: bool = False) -> list[ToolCall]:
        """Return the whole calls; tell what of them was still missing.

        Args:
            out: Where to tell it.
            cut: Whether the answer reached its length limit, so that the last call may not be complete.
        """
        calls = []
        for call in self._calls:
            arguments = "".join(call.arguments)
            if not call.told:
                out.append(ToolCallDelta(call.index, call.id, call.name, arguments))
            error = call.error
            if error is None and not arguments.strip():
                if cut and call is self._calls[-1]:
                    error = "the answer was cut off before the call's arguments"
                elif call.name:
                    # A function without parameters: some servers send no arguments at all.
                    out.append(ToolCallDelta(call.index, None, None, "{}"))
                    arguments += "{}"
            if error is None:
                error = why_unreadable(arguments) if call.name else NAMELESS
            calls.append(ToolCall(call.id, call.name, arguments, error))
        return calls

    def _find(self, wire: dict[str, Any], position: int | None, name: Any, arguments: str) -> _Call | None:
        """Return the call that this fragment belongs to, a new one included; None for a fragment that says nothing."""
        index, call_id = wire.get("index"), wire.get("id") or ""
        number = 0 if index is None else index
        for what, value, kind in (("index", number, int), ("id", call_id, str), ("function's name", name, str)):
            if type(value) is not kind:
                raise wrong_shape(f"a tool call's {what}", kind.__name__, value)
        call = self._known(index, call_id, name, position, arguments)
        if call is None:
            if not (name or arguments or call_id):
                return None  # an empty entry
            number = len(self._calls)
            call = _Call(number, call_id or self._derived_id(number))
            self._calls.append(call)
        if not call.told:
            call.id = call_id or call.id
            call.name = call.name or name
        if call_id:
            self._by_id.setdefault(call_id, call)
        if index is not None:
            self._by_index[index] = call
        elif position is not None and name:
            self._by_index.setdefault(position, call)
        return call

    def _known(self, index: int | None, call_id: str, name: str, position: int | None, arguments: str) -> _Call | None:
        by_id = self._by_id.get(call_id) if call_id else None
        if by_id is not None:
            return by_id
        place = index if index is not None else position
        call = self._by_index.get(place) if place is not None else None
        if call is None:
            return None if name or not self._calls else self._calls[-1]
        if not name or not call.told:
            return call
        # Named again: under a new id, another name, or after a whole call, it is the next one, badly numbered.
        again = call_id == "" and index is not None and call.name == name and not (arguments and _is_whole(call))
        return call if again else None

    def _derived_id(self, number: int) -> str:
        """Return the same id for the same answer: a random one would differ at every replay of a recording."""
        answer = self.answer_id
        return f"call_{answer}_{number}" if type(answer) is str and answer else f"call_{number}"


def _is_whole(call: _Call) -> bool:
    return why_unreadable("".join(call.arguments)) is None


def _arguments_text(arguments: Any) -> str:
    """Return arguments as JSON text: some servers send the object itself."""
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
