"""Fragments of tool calls, numbered in every way that was reported for servers, and split at every position."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from llama_index.core.base.llms.types import ToolCallBlock

from langchain_xinference_bridge._chunks import ChunkWriter
from langchain_xinference_bridge._messages import message_from_wire
from llamaindex_xinference_bridge._messages import message_from_wire as message_of
from llamaindex_xinference_bridge._responses import GrowingChat
from tests.core.chunks import chunk, server_call, stream
from xinference_bridge.protocol.chat.result import ChatDelta

Fragments = list[dict[str, Any]]
Call = tuple[str, str, str]

ADD, SUB = '{"a": 1}', '{"b": [2, "}"]}'
BOTH: list[Call] = [("x1", "add", ADD), ("x2", "sub", SUB)]
ONE: list[Call] = [("x1", "add", ADD)]

#: Arguments that one reader or another of JSON takes, and another does not.
UNREADABLE = [
    '{"city": "\\ud800"}',
    '{"city": 1e999}',
    '{"city": NaN}',
    '{"n": 12345678901234567890, "city": "\\udc00"}',
    '{"n": 12345678901234567890, "city": -1e999}',
    '{"city": ' + "[" * 3000,
    '{"city": ' + "[" * 3000 + '"Par',
    '{"city": ' + "[" * 300 + "]" * 300 + "}",
]

#: How the calls come: the fragments of each delta.
NUMBERED: dict[str, tuple[list[Fragments], list[Call]]] = {
    "by index": (
        [[server_call(0, "", "add", "x1")], [server_call(0, ADD)], [server_call(1, "", "sub", "x2")],
         [server_call(1, SUB)]],
        BOTH,
    ),
    "by index, mixed": (
        [[server_call(0, '{"a"', "add", "x1"), server_call(1, '{"b": ', "sub", "x2")],
         [server_call(1, '[2, "}"]}'), server_call(0, ": 1}")]],
        BOTH,
    ),
    "several entries of one call in one delta": (
        [[server_call(0, "", "add", "x1"), server_call(0, '{"a"'), server_call(0, ": 1}")]],
        ONE,
    ),
    "several entries of one call without an index in one delta": (
        [[server_call(None, "", "add", "x1"), server_call(None, '{"a"', None, "x1"),
          server_call(None, ": 1}", None, "x1")]],
        ONE,
    ),
    "tails under an index not seen": (
        [[server_call(0, '{"a"', "add", "x1")], [server_call(1, ": 1}")]],
        ONE,
    ),
    "the first index is not zero": (
        [[server_call(1, "", "add", "x1")], [server_call(1, ADD)], [server_call(2, SUB, "sub", "x2")]],
        BOTH,
    ),
    "routing by id, every index zero": (
        [[server_call(0, '{"a"', "add", "x1")], [server_call(0, '{"b": ', "sub", "x2")],
         [server_call(0, ": 1}", None, "x1")], [server_call(0, '[2, "}"]}', None, "x2")]],
        BOTH,
    ),
    "routing by id without an index": (
        [[server_call(None, '{"a"', "add", "x1")], [server_call(None, '{"b": ', "sub", "x2")],
         [server_call(None, ": 1}", None, "x1")], [server_call(None, '[2, "}"]}', None, "x2")]],
        BOTH,
    ),
    "one id at two indices": (
        [[server_call(0, '{"a"', "add", "x1")], [server_call(1, ": 1}", None, "x1")]],
        ONE,
    ),
    "two whole calls at one index": (
        [[server_call(0, ADD, "add", "x1")], [server_call(0, SUB, "sub", "x2")]],
        BOTH,
    ),
    "an empty entry": (
        [[{}], [server_call(0, "", "add", "x1"), {}], [{"index": 0, "function": {}}], [server_call(0, ADD)],
         [{"index": 1}], [{"index": 1, "function": {"arguments": ""}}]],
        ONE,
    ),
    "the id and the name in every delta": (
        [[server_call(0, '{"a"', "add", "x1")], [server_call(0, ": 1}", "add", "x1")]],
        ONE,
    ),
    "an empty id and name in every later delta": (
        [[server_call(0, '{"a"', "add", "x1")], [server_call(0, ": 1}", "", "")]],
        ONE,
    ),
    "an id of its own in every delta": (
        [[server_call(0, '{"a"', "add", "x1")], [server_call(0, ": 1}", None, "y7")]],
        ONE,
    ),
    "the name after the arguments": (
        [[server_call(0, ADD, None, "x1")], [server_call(0, "", "add")]],
        ONE,
    ),
}  # fmt: skip

#: The same without ids, which are then derived.
NAMELESS_IDS: dict[str, tuple[list[Fragments], list[tuple[str, str]]]] = {
    "whole calls of one name at one index": (
        [[server_call(0, ADD, "add")], [server_call(0, ADD, "add")]],
        [("add", ADD), ("add", ADD)],
    ),
    "calls of two names at one index": (
        [[server_call(0, "", "add")], [server_call(0, ADD)], [server_call(0, "", "sub")], [server_call(0, SUB)]],
        [("add", ADD), ("sub", SUB)],
    ),
    "calls in one delta without an index": (
        [[server_call(None, ADD, "add"), server_call(None, SUB, "sub")]],
        [("add", ADD), ("sub", SUB)],
    ),
    "calls in one delta and their tails in the next": (
        [[server_call(None, '{"a"', "add"), server_call(None, '{"b": ', "sub")],
         [server_call(None, ": 1}"), server_call(None, '[2, "}"]}')]],
        [("add", ADD), ("sub", SUB)],
    ),
    "one after another without an index": (
        [[server_call(None, "", "add")], [server_call(None, ADD)], [server_call(None, "", "sub")],
         [server_call(None, SUB)]],
        [("add", ADD), ("sub", SUB)],
    ),
}  # fmt: skip


def told_of(deltas: list[Fragments]) -> tuple[list[ChatDelta], list[Call]]:
    events = [chunk({"tool_calls": fragments}) for fragments in deltas]
    told, result = stream([*events, chunk({}, "tool_calls")], tools=True)
    assert all(call.error is None for call in result.tool_calls)
    return told, [(call.id, call.name, call.arguments) for call in result.tool_calls]


def read(deltas: list[Fragments]) -> list[Call]:
    """Return the calls of these deltas, which must be the same for both bridges."""
    told, seen = told_of(deltas)
    writer, growing = ChunkWriter("m", blocks=False), GrowingChat()
    first, *rest = [written.message for delta in told for written in writer.chunks(delta)]
    joined = first + rest
    assert isinstance(joined, AIMessageChunk)
    assert [(c["id"], c["name"], c["args"]) for c in joined.tool_call_chunks] == seen
    assert [(c["id"], c["name"]) for c in joined.tool_calls] == [(call_id, name) for call_id, name, _ in seen]
    *_, last = [growing.take(delta) for delta in told]
    blocks = [block for block in last.message.blocks if isinstance(block, ToolCallBlock)]
    assert [(b.tool_call_id, b.tool_name, b.tool_kwargs) for b in blocks] == [
        (c["id"], c["name"], c["args"]) for c in joined.tool_calls
    ]
    return seen


def cut_everywhere(deltas: list[Fragments]) -> Iterator[list[Fragments]]:
    """Return the same fragments with one of them split: its tail is in a separate delta with the same number."""
    for at, fragments in enumerate(deltas):
        for position, fragment in enumerate(fragments):
            arguments = fragment.get("function", {}).get("arguments") or ""
            for place in range(1, len(arguments)):
                head = {**fragment, "function": {**fragment["function"], "arguments": arguments[:place]}}
                tail = {**fragment, "function": {"arguments": arguments[place:]}}
                rest = [[tail], fragments[position + 1 :]]
                if len(fragments) > 1 and "index" not in fragment and "id" not in fragment:
                    continue  # in a separate delta it would belong to the last call
                yield deltas[:at] + [[*fragments[:position], head]] + [f for f in rest if f] + deltas[at + 1 :]


@pytest.mark.parametrize("how", NUMBERED)
def test_fragments_are_put_together_whatever_the_server_numbers(how: str) -> None:
    deltas, expected = NUMBERED[how]
    assert read(deltas) == expected
    for cut in cut_everywhere(deltas):
        assert told_of(cut)[1] == expected, cut


@pytest.mark.parametrize("how", NAMELESS_IDS)
def test_calls_without_an_id_are_told_apart_by_name_and_place(how: str) -> None:
    deltas, expected = NAMELESS_IDS[how]
    assert [call[1:] for call in read(deltas)] == expected
    for cut in cut_everywhere(deltas):
        assert [call[1:] for call in told_of(cut)[1]] == expected, cut


@pytest.mark.parametrize("arguments", UNREADABLE)
@pytest.mark.parametrize("written", [False, True], ids=["parsed", "written"])
def test_arguments_that_one_parser_takes_and_another_does_not_are_an_invalid_call(
    arguments: str, *, written: bool
) -> None:
    if written:
        text = f'<tool_call>{{"name": "add", "arguments": {arguments}}}</tool_call>'
        pieces: list[dict[str, Any]] = [{"content": text[:50]}, {"content": text[50:]}]
    else:
        pieces = [{"tool_calls": [server_call(0, arguments[:20], "add", "x1")]}]
        pieces += [{"tool_calls": [server_call(0, arguments[20:])]}]
    told, result = stream([*map(chunk, pieces), chunk({}, "stop")], tools=True)
    whole = message_from_wire(result, "m")
    first, *rest = [made.message for delta in told for made in ChunkWriter("m", blocks=False).chunks(delta)]
    joined = first + rest
    assert isinstance(joined, AIMessageChunk)
    for message in (whole, joined):
        assert (message.tool_calls, len(message.invalid_tool_calls)) == ([], 1)
    assert message_of(result).blocks
