"""A forced tool call where the engine enforces a schema: what is sent, and the JSON answer as a tool call again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.core.test_call_fragments import UNREADABLE
from tests.core.test_chat_plan import HELLO, answered, body_of, model, sent
from xinference_bridge import XinferenceBadRequestError, XinferenceUnsupportedError
from xinference_bridge.protocol.chat.accumulator import ChatAccumulator, chat_result_from_wire
from xinference_bridge.protocol.chat.enforced_schema import closed, schema_of_calls
from xinference_bridge.protocol.chat.json_schema import violation
from xinference_bridge.protocol.chat.messages import WireTool
from xinference_bridge.protocol.chat.plan import plan_chat
from xinference_bridge.protocol.chat.request import ChatCall, NamedTool
from xinference_bridge.protocol.chat.result import ChatDelta, ChatResult
from xinference_bridge.protocol.http import JSON

CITY: JSON = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ENFORCING = ("llama.cpp", "vllm", "sglang")


def tool(name: str, parameters: JSON | None = None) -> WireTool:
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters or CITY}}


def forced(*tools: WireTool, choice: Any = "required") -> ChatCall:
    return ChatCall(HELLO, tools=tools, tool_choice=choice)


def schema_sent(call: ChatCall, engine: str = "llama.cpp") -> JSON:
    schema: JSON = sent(call, engine)["response_format"]["json_schema"]["schema"]
    return schema


# What is sent


@pytest.mark.parametrize("engine", ENFORCING)
@pytest.mark.parametrize("choice", ["required", NamedTool("alpha")])
def test_a_forced_call_is_a_schema_where_the_engine_enforces_one(engine: str, choice):
    body = sent(forced(tool("alpha"), choice=choice), engine)
    assert not {"tools", "tool_choice"} & set(body)
    assert body["response_format"]["json_schema"]["schema"] == {
        "type": "object",
        "properties": {"name": {"const": "alpha"}, "arguments": {**CITY, "additionalProperties": False}},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }
    assert '"alpha"' in body["messages"][0]["content"]  # the schema is not in the prompt, so a text describes the tools


def test_a_choice_among_tools_is_a_schema_of_either_and_a_name_leaves_one():
    names = [entry["properties"]["name"] for entry in schema_sent(forced(tool("alpha"), tool("beta")))["anyOf"]]
    assert names == [{"const": "alpha"}, {"const": "beta"}]
    named = schema_sent(forced(tool("alpha"), tool("beta"), choice=NamedTool("beta")))
    assert named["properties"]["name"] == {"const": "beta"}


@pytest.mark.parametrize(
    ("system", "wanted"),
    [
        (None, ["system", "user"]),
        ({"role": "system", "content": "Be brief."}, ["system", "user"]),
        ({"role": "system", "content": [{"type": "text", "text": "Be brief."}]}, ["system", "user"]),
    ],
)
def test_the_words_that_tell_the_tools_stand_in_the_one_system_message(system, wanted):
    given = [system, *HELLO] if system else list(HELLO)
    body = sent(ChatCall(given, tools=[tool("alpha")], tool_choice="required"))
    assert [message["role"] for message in body["messages"]] == wanted
    assert "alpha" in json.dumps(body["messages"][0]["content"])
    assert given == ([system, *HELLO] if system else HELLO)


def test_references_within_a_tool_still_name_their_definitions():
    linked = {
        "type": "object",
        "properties": {"at": {"$ref": "#/$defs/Place"}, "$ref": {"type": "string"}},
        "$defs": {"Place": CITY},
        "required": ["at"],
    }
    schema = schema_of_calls([tool("go", linked), tool("stay", linked)])
    good = {"name": "stay", "arguments": {"at": {"city": "Oslo"}}}
    assert violation(good, schema) is None
    for wrong in ({"at": {"town": "Oslo"}}, {"at": {"city": "Oslo", "hobby": "x"}}, {"at": 5}, {}):
        assert violation({"name": "stay", "arguments": wrong}, schema) is not None


@pytest.mark.parametrize("engine", ["llama.cpp", "transformers", "vllm", "mlx"])
@pytest.mark.parametrize("reference", ["#/$defs/Gone", "#/properties/nope", "https://example.org/schema.json", "Gone"])
def test_a_dangling_reference_is_named_before_it_is_sent(engine: str, reference: str):
    dangling = {"type": "object", "properties": {"at": {"items": {"$ref": reference}}}, "$defs": {"Place": CITY}}
    for choice in (None, "auto", "required"):
        call = ChatCall(HELLO, tools=[tool("fine"), tool("go", dangling)], tool_choice=choice)
        with pytest.raises(
            XinferenceBadRequestError, match=f"The tool 'go' has a \\$ref '{reference}'".replace("$d", "\\$d")
        ):
            sent(call, engine)


# Closed objects


OPEN: JSON = {"type": "object", "properties": {"a": {"type": "integer"}}}
SHUT: JSON = {**OPEN, "additionalProperties": False}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (OPEN, SHUT),
        ({"type": "object"}, {"type": "object"}),  # any object
        ({**OPEN, "additionalProperties": True}, {**OPEN, "additionalProperties": True}),
        ({**OPEN, "additionalProperties": {"type": "string"}}, {**OPEN, "additionalProperties": {"type": "string"}}),
        ({"type": "array", "items": OPEN}, {"type": "array", "items": SHUT}),
        ({"anyOf": [OPEN, {"type": "null"}]}, {"anyOf": [SHUT, {"type": "null"}]}),
        ({"$defs": {"X": OPEN}, "$ref": "#/$defs/X"}, {"$defs": {"X": SHUT}, "$ref": "#/$defs/X"}),
        # Two closed parts of an allOf would exclude each other.
        ({"allOf": [OPEN, OPEN]}, {"allOf": [OPEN, OPEN]}),
        ({"allOf": [OPEN]}, {"allOf": [SHUT]}),
        (
            {"$defs": {"X": OPEN}, "allOf": [{"$ref": "#/$defs/X"}, OPEN]},
            {"$defs": {"X": OPEN}, "allOf": [{"$ref": "#/$defs/X"}, OPEN]},
        ),
        # A property or value that only looks like a keyword.
        (
            {"type": "object", "properties": {"properties": {"type": "string"}}},
            {"type": "object", "properties": {"properties": {"type": "string"}}, "additionalProperties": False},
        ),
        ({"enum": [{"properties": {}}]}, {"enum": [{"properties": {}}]}),
    ],
)
def test_objects_are_closed_at_every_level_where_nothing_else_is_stated(given: JSON, wanted: JSON):
    before = json.dumps(given)
    assert closed(given) == wanted
    assert json.dumps(given) == before


def test_the_schema_of_a_response_format_is_closed_too():
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": OPEN}}
    body = sent(ChatCall(HELLO, {"response_format": wanted}))
    assert body["response_format"]["json_schema"]["schema"] == SHUT


# What cannot be kept


def test_two_forms_of_one_answer_are_refused_where_the_engine_takes_one():
    wanted = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": OPEN}}}
    with pytest.raises(XinferenceUnsupportedError, match=r"llama\.cpp takes a response_format with a schema or tools"):
        sent(ChatCall(HELLO, wanted, tools=[tool("alpha")]))
    with pytest.raises(XinferenceUnsupportedError, match="one JSON answer and tool_choice for another"):
        sent(ChatCall(HELLO, wanted, tools=[tool("alpha")], tool_choice="required"), "vllm")
    assert "tools" in sent(ChatCall(HELLO, wanted, tools=[tool("alpha")]), "vllm")


# The answer

BIG = 123456789012345678901234567890
CALLS = [
    ('{"name": "alpha", "arguments": {"city": "Paris"}}', "alpha", '{"city": "Paris"}', None),
    (
        '{\n  "name": "alpha",\n  "arguments": {\n    "city": "Oslo"\n  }\n}\n',
        "alpha",
        '{\n    "city": "Oslo"\n  }',
        None,
    ),
    ('{"name":"alpha","arguments":{}}', "alpha", "{}", None),
    (f'{{"name": "alpha", "arguments": {{"n": {BIG}}}}}', "alpha", f'{{"n": {BIG}}}', None),
    ('{"name": "alpha", "arguments": {"city": "}} \\" {"}  }', "alpha", '{"city": "}} \\" {"}', None),
    ('{"name": "\\u00e9", "arguments": {"city": "łódź 🌊"}}', "é", '{"city": "łódź 🌊"}', None),
    ('{"name": "alpha", "arguments": {"city": "Par', "alpha", '{"city": "Par', "the answer ended before they did"),
    ('{"name": "alpha", "arguments": {"city": {"x": 1}', "alpha", '{"city": {"x": 1}', "the answer ended before"),
]


def plan_of(engine: str = "llama.cpp"):
    return plan_chat("m", forced(tool("alpha"), tool("beta")), model(engine), stream=False)


def whole(text: str, *, field: str = "content", reason: str = "stop") -> ChatResult:
    message = {"role": "assistant", "content": "", field: text}
    body = {"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": reason}]}
    result = chat_result_from_wire(body, tools=False)
    plan_of().read(result)
    return result


def streamed(pieces: list[str], *, field: str = "content", reason: str = "stop") -> tuple[list[ChatDelta], ChatResult]:
    answer = plan_of().reading(ChatAccumulator(tools=False))
    deltas = [delta for piece in pieces if (delta := answer.feed(_chunk({field: piece}))) is not None]
    answer.feed(_chunk({}, reason))
    last = answer.finish()
    assert last.final is not None
    return [*deltas, last], last.final


def _chunk(delta: JSON, reason: str | None = None) -> JSON:
    return {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


@pytest.mark.parametrize("field", ["content", "reasoning_content"])
@pytest.mark.parametrize(("text", "name", "arguments", "error"), CALLS)
def test_the_json_is_a_tool_call_again_whole_and_cut_at_every_place(text, name, arguments, error, field):
    result = whole(text, field=field)
    (call,) = result.tool_calls
    assert (call.id, call.name, call.arguments) == ("call_x_0", name, arguments)
    assert (error or "") in (call.error or "")
    assert bool(error) is bool(call.error)
    assert (result.text, result.reasoning, result.finish_reason) == ("", "", "tool_calls")
    for cut in range(len(text) + 1):
        deltas, final = streamed([text[:cut], text[cut:]], field=field)
        assert (final.text, final.reasoning, final.tool_calls) == ("", "", [call])
        fragments = [fragment for delta in deltas for fragment in delta.tool_calls]
        assert "".join(fragment.arguments for fragment in fragments) == arguments
        assert [(f.id, f.name) for f in fragments if f.name is not None] == [("call_x_0", name)]
        assert not any(delta.text or delta.reasoning for delta in deltas)


def test_a_call_that_was_cut_keeps_its_reason():
    assert whole(CALLS[-1][0], reason="length").finish_reason == "length"


@pytest.mark.parametrize("arguments", UNREADABLE)
@pytest.mark.parametrize("form", ['{{"name": "alpha", "arguments": {}}}', '{{"arguments": {}, "name": "alpha"}}'])
def test_arguments_that_no_reader_takes_are_an_invalid_call(arguments: str, form: str):
    text = form.format(arguments)
    for result in (whole(text), streamed([text[:30], text[30:]])[1]):
        assert all(call.error for call in result.tool_calls)
        assert result.tool_calls or "[[[" in arguments  # too deep to find the call's name behind it


@pytest.mark.parametrize("text", ["I would rather not.", '{"colour": "red"}', "", '["alpha"]'])
def test_an_answer_that_is_no_call_is_told_as_the_text_that_it_is(text: str):
    assert whole(text).text == text
    deltas, final = streamed(list(text))
    assert ("".join(delta.text for delta in deltas), final.text, final.tool_calls) == (text, text, [])
    with pytest.raises(XinferenceUnsupportedError, match="had to be called"):
        plan_of().check(final)
    plan_of().check(answered("alpha"))


def test_a_forced_call_is_not_looked_for_in_tags():
    assert not plan_of().reads_tools
    assert body_of(plan_of("transformers"))["tool_choice"] == "required"
