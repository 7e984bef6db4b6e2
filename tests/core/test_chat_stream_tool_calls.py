"""The parser of chat answers, with every form in which servers and models write tool calls."""

from __future__ import annotations

import json

import pytest

from tests.core.chunks import CALL, body, chunk, final, say, server_call, stream
from xinference_bridge.protocol.chat.accumulator import chat_result_from_wire
from xinference_bridge.protocol.chat.tool_calls import ToolCall, ToolCallDelta

# --- tool calls that the server parsed --------------------------------------------------------------------------


def test_tool_calls_are_put_together_by_their_index() -> None:
    events = [
        chunk({"role": "assistant", "content": None}),
        chunk({"tool_calls": [server_call(0, "", "add", "x1")]}),
        chunk({"tool_calls": [server_call(0, '{"a"')]}),
        chunk({"tool_calls": [server_call(1, "{", "sub", "x2"), server_call(0, ":1}")]}),
        chunk({"tool_calls": [server_call(1, "}")]}),
        chunk({}, "tool_calls"),
    ]
    deltas, result = stream(events)
    assert deltas[0].tool_calls == [ToolCallDelta(0, "x1", "add", "")]
    assert deltas[1].tool_calls == [ToolCallDelta(0, None, None, '{"a"')]
    assert result.tool_calls == [ToolCall("x1", "add", '{"a":1}'), ToolCall("x2", "sub", "{}")]
    assert result.finish_reason == "tool_calls"


def test_xinference_repeats_neither_id_nor_name_and_sends_empty_content_beside() -> None:
    events = [
        chunk({"role": "assistant", "content": "", "tool_calls": [server_call(0, "", "add", "call_5f")]}),
        chunk({"role": "assistant", "content": "", "tool_calls": [server_call(0, '{"a": 1}')]}),
        chunk({"role": "assistant", "content": "", "tool_calls": []}, "tool_calls"),
    ]
    assert final(events, tools=True).tool_calls == [ToolCall("call_5f", "add", '{"a": 1}')]


def test_a_stray_closing_tag_beside_a_parsed_call_is_not_content() -> None:
    # llama.cpp with tool_choice "required".
    events = [
        chunk({"tool_calls": [server_call(0, '{"a":1}', "add", "x1")]}),
        chunk({"content": "\n</tool"}),
        chunk({"content": "_call>"}, "tool_calls"),
    ]
    result = final(events, tools=True)
    assert (result.text, len(result.tool_calls)) == ("", 1)
    wire = body({"content": "\n</tool_call>", "tool_calls": [server_call(None, '{"a":1}', "add", "x1")]})
    assert chat_result_from_wire(wire, tools=True).text == ""


@pytest.mark.parametrize("index", [0, None])
def test_an_id_that_is_missing_is_derived_from_the_answer(index: int | None) -> None:
    events = [chunk({"tool_calls": [server_call(index, "{}", "add")]}), chunk({}, "stop")]
    assert final(events).tool_calls == [ToolCall("call_chatcmpl-1_0", "add", "{}")]


def test_calls_without_an_index_are_numbered_by_their_place() -> None:
    calls = [server_call(None, "{}", "add", "x1"), server_call(None, "{}", "sub", "x2")]
    expected = [ToolCall("x1", "add", "{}"), ToolCall("x2", "sub", "{}")]
    assert chat_result_from_wire(body({"content": None, "tool_calls": calls}), tools=True).tool_calls == expected
    assert final([chunk({"tool_calls": calls}), *say()]).tool_calls == expected


@pytest.mark.parametrize(("index", "ids"), [(None, ("x1", "x2")), (0, ("x1", "x2")), (None, (None, None))])
def test_whole_calls_that_the_server_did_not_number_stay_apart(index: int | None, ids: tuple[str | None, ...]) -> None:
    events = [chunk({"tool_calls": [server_call(index, "{}", "add", call_id)]}) for call_id in ids]
    result = final([*events, *say()])
    assert [(call.name, call.arguments) for call in result.tool_calls] == [("add", "{}"), ("add", "{}")]
    assert len({call.id for call in result.tool_calls}) == 2


def test_a_name_and_an_id_that_are_repeated_are_told_once() -> None:
    events = [chunk({"tool_calls": [server_call(0, piece, "add", "x1")]}) for piece in ("{", "}")]
    assert final([*events, *say()]).tool_calls == [ToolCall("x1", "add", "{}")]


def test_a_call_is_told_once_its_name_is_known() -> None:
    events = [
        chunk({"tool_calls": [server_call(0, None, None, "x1")]}),
        chunk({"tool_calls": [server_call(0, "{")]}),
        chunk({"tool_calls": [server_call(0, "}", "add")]}),
    ]
    deltas, _ = stream([*events, *say()])
    assert deltas[0].tool_calls == [ToolCallDelta(0, "x1", "add", "{}")]


def test_arguments_that_are_an_object_are_written_as_json() -> None:
    calls = [server_call(None, {"a": [1, "ü"]}, "add", "x1")]
    assert chat_result_from_wire(body({"tool_calls": calls}), tools=True).tool_calls == [
        ToolCall("x1", "add", '{"a":[1,"ü"]}')
    ]


@pytest.mark.parametrize("arguments", ["", None, " "])
def test_a_call_without_arguments_has_an_empty_object(arguments: str | None) -> None:
    (call,) = final([chunk({"tool_calls": [server_call(0, arguments, "now", "x1")]}), *say()]).tool_calls
    assert (json.loads(call.arguments), call.error) == ({}, None)


@pytest.mark.parametrize(
    ("arguments", "name", "error"),
    [
        ('{"a": ', "add", "are not JSON"),
        ("[1]", "add", "are not a JSON object"),
        ('"{}"', "add", "are not a JSON object"),
        ('{"a": NaN}', "add", "are not JSON"),
        ("{}", None, "names no function"),
    ],
)
def test_a_call_that_cannot_be_read_says_why_and_keeps_what_was_written(
    arguments: str, name: str | None, error: str
) -> None:
    (call,) = final([chunk({"tool_calls": [server_call(0, arguments, name, "x1")]}), *say()]).tool_calls
    assert (call.arguments, call.name) == (arguments, name or "")
    assert error in (call.error or "")


def test_a_legacy_function_call_is_a_tool_call() -> None:
    events = [
        chunk({"function_call": {"name": "add", "arguments": "{"}}),
        chunk({"function_call": {"arguments": "}"}}),
        chunk({}, "function_call"),
    ]
    result = final(events)
    assert result.tool_calls == [ToolCall("call_chatcmpl-1_0", "add", "{}")]
    assert result.finish_reason == "tool_calls"


@pytest.mark.parametrize(("reason", "told"), [("stop", "tool_calls"), ("length", "length"), ("tool_calls",) * 2])
def test_an_answer_with_calls_did_not_simply_stop(reason: str, told: str) -> None:
    events = [chunk({"tool_calls": [server_call(0, "{}", "add", "x1")]}), chunk({}, reason)]
    assert final(events).finish_reason == told


# --- tool calls in the text -------------------------------------------------------------------------------------


def test_a_call_written_into_the_text_is_a_tool_call_however_it_is_cut() -> None:
    # The transformers engine streams calls as text.
    text = f"Sure.\n<tool_call>\n{CALL}\n</tool_call>\n<tool_call>\n{CALL}\n</tool_call>"
    arguments = '{"a": 1,  "b": [2.50]}'
    expected = [ToolCall(f"call_chatcmpl-1_{index}", "add", arguments) for index in (0, 1)]
    whole = chat_result_from_wire(body({"content": text}), tools=True)
    assert (whole.text, whole.tool_calls, whole.finish_reason) == ("Sure.", expected, "tool_calls")
    for offset in range(len(text) + 1):
        result = final(say(text[:offset], text[offset:]), tools=True)
        assert (result.text, result.tool_calls, result.finish_reason) == ("Sure.", expected, "tool_calls")
    assert final(say(*text), tools=True).tool_calls == expected


def test_calls_in_the_text_come_after_those_that_the_server_parsed() -> None:
    message = {"content": f"<tool_call>{CALL}</tool_call>", "tool_calls": [server_call(0, "{}", "sub", "x1")]}
    result = chat_result_from_wire(body(message), tools=True)
    assert [call.id for call in result.tool_calls] == ["x1", "call_chatcmpl-1_1"]


def test_a_call_that_was_cut_off_is_told_at_the_end() -> None:
    deltas, result = stream([chunk({"content": '<tool_call>\n{"name": "add", "arg'}), chunk({}, "length")], tools=True)
    (call,) = result.tool_calls
    assert (call.name, call.arguments) == ("add", "")
    assert "ended before the call did" in (call.error or "")
    assert deltas[-1].tool_calls == [ToolCallDelta(0, call.id, "add", "")]
    assert result.finish_reason == "length"


@pytest.mark.parametrize(
    ("inside", "name", "arguments"),
    [
        ('{"name": "add", "parameters": {"a": 1}}', "add", '{"a": 1}'),
        ('{"name": "add", "arguments": "{\\"a\\": 1}"}', "add", '{"a": 1}'),
        ('{"name": "add"}', "add", "{}"),
        ('{"name": "add", "arguments": null}', "add", "{}"),
        ('{"arguments": {"arguments": {"x": 1}}, "name": "add"}', "add", '{"arguments": {"x": 1}}'),
        (
            '{"name": "\\"arguments\\": {}", "arguments": {"a": 123456789012345678901234567890}}',
            '"arguments": {}',
            None,
        ),
        ('{"name": "run", "arguments": {"code": "a\nb"}}', "run", '{"code": "a\\nb"}'),
    ],
)
def test_a_call_in_the_text_may_be_written_in_several_ways(inside: str, name: str, arguments: str | None) -> None:
    (call,) = final(say(f"<tool_call>{inside}</tool_call>"), tools=True).tool_calls
    assert (call.name, call.error) == (name, None)
    assert call.arguments == arguments or json.loads(call.arguments) == json.loads(inside)["arguments"]


@pytest.mark.parametrize(
    "inside",
    ["{", '{"arguments": {}}', '{"name": 3, "arguments": {}}', '{"name": "", "arguments": {}}', "[1]",
     '{"name": "add", "arguments": {"a": NaN}}', "[" * 100_000],
)  # fmt: skip
def test_a_call_in_the_text_that_cannot_be_read_is_not_lost(inside: str) -> None:
    (call,) = final(say(f"<tool_call>\n{inside}\n</tool_call>"), tools=True).tool_calls
    assert (call.name, call.arguments) == ("", inside)
    assert call.error is not None


@pytest.mark.parametrize("inside", ["add(1)", "NaN", "9" * 5000, " and "])
def test_a_tag_that_no_call_follows_is_a_word(inside: str) -> None:
    result = final(say(f"Write <tool_call>{inside} here."), tools=True)
    assert (result.text, result.tool_calls) == (f"Write <tool_call>{inside} here.", [])


@pytest.mark.parametrize("arguments", ["[1]", "3", '"x"'])
def test_arguments_in_the_text_that_are_no_object_say_so(arguments: str) -> None:
    (call,) = final(say(f'<tool_call>{{"name": "f", "arguments": {arguments}}}</tool_call>'), tools=True).tool_calls
    assert call.name == "f"
    assert call.error is not None


def test_an_empty_tag_is_no_call() -> None:
    result = final(say("<tool_call>\n</tool_call>"), tools=True)
    assert (result.text, result.tool_calls, result.finish_reason) == ("", [], "stop")


def test_without_tools_the_tag_is_text() -> None:
    text = f"<tool_call>\n{CALL}\n</tool_call>\n"
    assert final(say(*text)).text == text
