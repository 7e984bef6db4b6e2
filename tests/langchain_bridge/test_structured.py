"""Structured output: every form of schema and method, the request to each engine, and the errors."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import StructuredTool
from pydantic import BaseModel, RootModel
from typing_extensions import TypedDict

from langchain_xinference_bridge import ChatXinference
from langchain_xinference_bridge._structured import STRUCTURED, reader_for, wanted_from_schema
from langchain_xinference_bridge.errors import (
    XinferenceConfigurationError,
    XinferenceStructuredOutputError,
    XinferenceUnsupportedError,
)
from tests.langchain_bridge.conftest import chat_on
from xinference_bridge.protocol.chat.json_schema import violation
from xinference_bridge.protocol.chat.request import StructuredOutput


class Person(BaseModel):
    """A person."""

    name: str
    age: int


PersonDict = TypedDict("Person", {"name": str, "age": int})  # type: ignore[name-match]  # noqa: UP013 - named as the class above
PersonDict.__doc__ = "A person."


JSON_SCHEMA = {**Person.model_json_schema(), "description": "A person."}
ADA = {"name": "Ada Lovelace", "age": 36}
SENTENCE = "Ada Lovelace was 36 years old."


# Schemas


@pytest.mark.parametrize(
    "schema",
    [
        Person,
        PersonDict,
        JSON_SCHEMA,
        {"name": "Person", "description": "A person.", "parameters": JSON_SCHEMA},
        {"type": "function", "function": {"name": "Person", "description": "A person.", "parameters": JSON_SCHEMA}},
        {"type": "json_schema", "json_schema": {"name": "Person", "description": "A person.", "schema": JSON_SCHEMA}},
    ],
    ids=["pydantic", "typeddict", "json schema", "function", "tool", "response_format"],
)
def test_a_schema_in_every_form_is_the_same_wish(schema):
    wanted = wanted_from_schema(schema)
    assert (wanted.name, wanted.description) == ("Person", "A person.")
    assert set(wanted.schema["properties"]) == {"name", "age"}
    assert wanted.schema["required"] == ["name", "age"]


def test_a_schema_without_a_title_gets_one():
    assert wanted_from_schema({"type": "object", "properties": {"a": {"type": "string"}}}).name == "Answer"


class Node(BaseModel):
    """A node."""

    v: int
    kids: list[Node] = []


class Holder(BaseModel):
    node: Node | None = None


NodeDict = TypedDict("NodeDict", {"v": int, "kids": "list[NodeDict]"})  # noqa: UP013 - refers to itself


WITHOUT_PROPERTIES = [
    {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": {"type": "integer"}}}}},
    {"anyOf": [{"type": "object", "required": ["a"]}, {"type": "object", "required": ["b"]}]},
    {"oneOf": [{"type": "object", "required": ["a"]}]},
    {"allOf": [{"type": "object", "required": ["a"]}]},
    {"type": "object", "additionalProperties": {"type": "integer"}},
    {"type": "object", "patternProperties": {"^x": {"type": "integer"}}},
    {"type": "object"},
]


@pytest.mark.parametrize("schema", WITHOUT_PROPERTIES)
@pytest.mark.parametrize("about", [{}, {"title": "T"}, {"name": "T"}], ids=["bare", "title", "name"])
def test_a_schema_without_properties_at_its_root_stays_what_it_is(schema, about):
    assert wanted_from_schema({**about, **schema}).schema == schema
    if "title" in about:
        (tool,) = ChatXinference(model="m").bind_tools([{**about, **schema}]).kwargs["tools"]
        assert tool == {"type": "function", "function": {"name": "T", "parameters": schema}}


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (Node, ["properties", "kids", "items"]),
        (Holder, ["properties", "node", "anyOf", 0]),
        (Node.model_json_schema(), ["$defs", "Node", "properties", "kids", "items"]),
        (NodeDict, ["properties", "kids", "items"]),
    ],
    ids=["class", "inner class", "json schema", "typeddict"],
)
def test_a_type_that_refers_to_itself_keeps_the_reference(schema, path):
    wanted = wanted_from_schema(schema)
    found = wanted.schema
    for step in path:
        found = found[step]
    assert found["$ref"].rpartition("/")[2] in wanted.schema["$defs"]
    assert violation({"v": 1, "kids": [{"v": 1, "kids": [{"v": "x"}]}]}, wanted_from_schema(Node).schema)


def test_a_tool_whose_argument_refers_to_itself_keeps_the_reference():
    def plant(node: Node) -> str:
        """Plant a tree.

        Args:
            node: Its root.
        """
        return str(node)

    for tool in (plant, StructuredTool.from_function(plant, parse_docstring=True)):
        (wire,) = ChatXinference(model="m").bind_tools([tool], strict=True).kwargs["tools"]
        function = wire["function"]
        assert (function["name"], function["description"], function["strict"]) == ("plant", "Plant a tree.", True)
        assert function["parameters"]["properties"]["node"]["description"] == "Its root."
        assert function["parameters"]["$defs"]["Node"]["properties"]["kids"]["items"] == {"$ref": "#/$defs/Node"}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"title": "N", "properties": 5}, r"'N'.*schema\.properties must be an object"),
        ({"title": "N", "type": "object", "properties": {"a": 5}}, r"schema\.properties\.a must be a JSON schema"),
        ({"title": "N", "anyOf": 5}, r"schema\.anyOf must be a list"),
        ({"title": "N", "anyOf": [5]}, r"schema\.anyOf\.0 must be a JSON schema"),
        ({"title": "N", "required": 5}, r"schema\.required must be a list"),
        ({"title": "N", "type": {}}, r"schema\.type must be the name"),
        ({"title": "N", "type": "object", "$defs": {"A": {"items": 5}}}, r"schema\.\$defs\.A\.items must be"),
        ({"name": "N", "parameters": 5}, r"'N'.*must be a JSON schema"),
        ({"name": "N", "parameters": True}, r"'N'.*must be an object"),
        ({"name": "N", "schema": 5}, r"'N'.*must be a JSON schema"),
        ({"title": 5, "type": "object"}, "name or title must be a non-empty text"),
        ({"name": "", "parameters": {}}, "name or title must be a non-empty text"),
        (5, "cannot be used"),
        ("Person", "cannot be used"),
    ],
)
def test_a_schema_of_the_wrong_shape_is_refused_by_its_place(schema, why):
    with pytest.raises(XinferenceConfigurationError, match=why):
        ChatXinference(model="m").with_structured_output(schema)


def test_a_schema_that_contains_itself_is_refused():
    schema = {"title": "N", "type": "object", "properties": {}}
    schema["properties"]["n"] = schema
    with pytest.raises(XinferenceConfigurationError, match="contains itself"):
        ChatXinference(model="m").with_structured_output(schema)


LIST = {"title": "Numbers", "type": "array", "items": {"type": "integer"}}


class Numbers(RootModel[list[int]]):
    """Some numbers."""


class Either(RootModel[Person | list[int]]):
    """A person or some numbers."""


@pytest.mark.parametrize("schema", [LIST, Numbers, Either])
async def test_the_schema_says_whether_an_answer_may_be_a_list(schema):
    expected = [1, 2] if schema is LIST else schema([1, 2])
    for text in ("[1, 2]", "```json\n[1, 2]\n```", "They are [1, 2]."):
        assert read(AIMessage(text), schema) == expected
        reader = reader_for(schema, wanted_from_schema(schema), include_raw=False)
        assert list(reader.transform(chunks(text[:3], text[3:]))) == [expected]

        async def parts(pieces):
            for piece in pieces:
                yield piece

        told = [value async for value in reader.atransform(parts([*chunks(text[:3], text[3:])]))]
        assert told == [expected]
    with pytest.raises(XinferenceStructuredOutputError):
        read(AIMessage('["one"]'), schema)
    with pytest.raises(XinferenceConfigurationError, match=r"arguments of a call are an object.*json_schema"):
        ChatXinference(model="m").with_structured_output(schema, method="function_calling")


def test_an_unknown_method_lists_the_known_ones():
    with pytest.raises(XinferenceConfigurationError, match=r"'xml'.*json_schema"):
        ChatXinference(model="m").with_structured_output(Person, method="xml")


def test_without_a_schema_there_is_json_mode_alone():
    with pytest.raises(XinferenceConfigurationError, match="needs a schema"):
        ChatXinference(model="m").with_structured_output()
    ChatXinference(model="m").with_structured_output(method="json_mode")


def test_what_is_bound_names_no_engine_for_it_is_looked_up_when_the_call_is_made():
    bound = ChatXinference(model="m").with_structured_output(Person, strict=True).first
    assert bound.kwargs[STRUCTURED] == wanted_from_schema(Person, strict=True)
    assert bound.kwargs[STRUCTURED].method is None


# Reading


def read(message, schema=Person, *, include_raw=False):
    return reader_for(schema, wanted_from_schema(schema), include_raw=include_raw).invoke(message)


@pytest.mark.parametrize(
    "message",
    [
        AIMessage('{"name": "Ada Lovelace", "age": 36}'),
        AIMessage('Here it is:\n```json\n{"name": "Ada Lovelace", "age": 36}\n```'),
        AIMessage("", tool_calls=[{"name": "Person", "args": ADA, "id": "1"}]),
        AIMessage("", tool_calls=[{"name": "Human", "args": ADA, "id": "1"}]),
        AIMessage([{"type": "text", "text": '{"name": "Ada Lovelace", "age": 36}'}]),
    ],
    ids=["text", "fence", "call", "misnamed call", "blocks"],
)
@pytest.mark.parametrize("schema", [Person, PersonDict, JSON_SCHEMA])
def test_the_value_is_found_wherever_the_engine_put_it(message, schema):
    value = read(message, schema)
    assert value == (Person(**ADA) if schema is Person else ADA)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (AIMessage("I would rather not."), "not JSON"),
        (AIMessage(""), "not JSON"),
        (AIMessage("[1, 2]"), "not an object"),
        (AIMessage('{"name": "Ada"}'), "age"),
        (AIMessage('{"name": "Ada", "age": "old"}'), "age"),
        (AIMessage('{"name": "Ada', response_metadata={"finish_reason": "length"}), "cut at max_tokens"),
    ],
)
@pytest.mark.parametrize("schema", [Person, PersonDict, JSON_SCHEMA], ids=["pydantic", "typeddict", "json schema"])
def test_an_answer_outside_of_the_schema_raises(message, why, schema):
    with pytest.raises(XinferenceStructuredOutputError, match=why) as failed:
        read(message, schema)
    assert isinstance(failed.value, (OutputParserException, XinferenceUnsupportedError))
    assert failed.value.llm_output == message.text
    told = read(message, schema, include_raw=True)
    assert told["raw"] is message
    assert told["parsed"] is None
    assert isinstance(told["parsing_error"], XinferenceStructuredOutputError)


def chunks(*texts):
    yield from (AIMessageChunk(content=text) for text in texts)
    yield AIMessageChunk(content="", chunk_position="last")


def test_of_a_stream_the_value_is_given_as_it_grows():
    wanted = wanted_from_schema(JSON_SCHEMA)
    values = list(
        reader_for(JSON_SCHEMA, wanted, include_raw=False).transform(chunks('{"name": "A', "da", '", "age": 36}'))
    )
    assert values == [{"name": "A"}, {"name": "Ada"}, {"name": "Ada", "age": 36}]


def test_of_a_stream_a_class_is_built_at_its_end_and_not_of_a_part_that_happens_to_be_valid():
    wanted = wanted_from_schema(Person)
    values = list(reader_for(Person, wanted, include_raw=False).transform(chunks('{"name": "Ada', '", "age": 3', "6}")))
    assert values == [Person(name="Ada", age=36)]


async def test_a_stream_that_ends_in_no_value_is_an_error():
    async def parts():
        for chunk in chunks('{"name": ', '"Ada"}'):
            yield chunk

    reader = reader_for(JSON_SCHEMA, wanted_from_schema(JSON_SCHEMA), include_raw=False)
    with pytest.raises(XinferenceStructuredOutputError, match="age"):
        [_ async for _ in reader.atransform(parts())]


def test_a_stream_with_the_raw_answer_tells_the_error_at_its_end():
    reader = reader_for(JSON_SCHEMA, wanted_from_schema(JSON_SCHEMA), include_raw=True)
    told = list(reader.transform(chunks('{"name": "Ada"}')))
    assert isinstance(told[-1]["parsing_error"], XinferenceStructuredOutputError)
    whole = sum(told[1:], told[0])
    assert whole["raw"].content == '{"name": "Ada"}'


def test_structured_outputs_of_equal_schemas_are_equal_so_that_a_cache_finds_them():
    assert wanted_from_schema(Person) == wanted_from_schema(Person)
    assert isinstance(wanted_from_schema(Person), StructuredOutput)


DEEP = ['{"name": ' + "[" * 3000, '{"name": ' + "[" * 300 + "]" * 300 + "}", '{"name": "\\ud800", "age": 1}']


@pytest.mark.parametrize("text", DEEP)
@pytest.mark.parametrize(
    "schema", [Person, JSON_SCHEMA, {"title": "T", "type": "object"}], ids=["class", "dict", "any"]
)
async def test_an_answer_that_no_parser_reads_to_its_end_is_refused_whole_and_streamed(text, schema):
    async def parts(pieces):
        for piece in pieces:
            yield piece

    reader = reader_for(schema, wanted := wanted_from_schema(schema), include_raw=False)
    fragments = [
        {"name": wanted.name, "args": text, "id": "1", "index": 0},
        {"name": None, "args": "[}", "id": None, "index": 0},  # as the writer of chunks marks an invalid call
    ]
    calls = [AIMessageChunk("", tool_call_chunks=[fragment]) for fragment in fragments]
    for told in ([*chunks(text[:100], text[100:])], calls):
        with pytest.raises(XinferenceStructuredOutputError, match="JSON"):
            list(reader.transform(iter(told)))
        with pytest.raises(XinferenceStructuredOutputError, match="JSON"):
            [_ async for _ in reader.atransform(parts(told))]
    with pytest.raises(XinferenceStructuredOutputError, match="JSON"):
        read(AIMessage(text), schema)


BIG = 123456789012345678901234567890


@pytest.mark.parametrize("schema", [Person, JSON_SCHEMA], ids=["pydantic", "json schema"])
def test_integers_of_any_size_are_exact_whole_and_streamed(schema):
    text = f'{{"name": "Ada", "age": {BIG}}}'
    wanted = {"name": "Ada", "age": BIG}
    for message in (AIMessage(text), AIMessage("", tool_calls=[{"name": "Person", "args": wanted, "id": "1"}])):
        value = read(message, schema)
        assert (value.model_dump() if schema is Person else value) == wanted
    reader = reader_for(schema, wanted_from_schema(schema), include_raw=False)
    last = list(reader.transform(chunks(text[:30], text[30:])))[-1]
    assert (last.model_dump() if schema is Person else last) == wanted


def test_a_refusal_quotes_an_unreadable_call():
    broken = [{"name": "Person", "args": '{"name": "Ad', "id": "1", "error": "the arguments are not JSON"}]
    with pytest.raises(XinferenceStructuredOutputError, match=r"not JSON.*Person\(\{\"name\": \"Ad\)") as failed:
        read(AIMessage("Let me see.", invalid_tool_calls=broken))
    assert failed.value.llm_output == 'Let me see. Person({"name": "Ad)'


# On the lab


@pytest.mark.server
@pytest.mark.parametrize("method", [None, "json_schema", "function_calling", "json_mode"])
async def test_each_method_extracts_a_person(chat, method):
    # For every method: what an engine does not enforce is requested in another way, and validated.
    model = chat.with_structured_output(Person, method=method)
    assert model.invoke(SENTENCE) == Person(**ADA)
    assert await model.ainvoke(SENTENCE) == Person(**ADA)
    assert list(model.stream(SENTENCE))[-1] == Person(**ADA)


@pytest.mark.server
@pytest.mark.parametrize("schema", [PersonDict, JSON_SCHEMA], ids=["typeddict", "json schema"])
def test_dicts_come_out_of_dict_schemas(chat, schema):
    told = chat.with_structured_output(schema, include_raw=True).invoke(SENTENCE)
    assert told["parsed"] == ADA
    assert isinstance(told["raw"], AIMessage)
    assert told["parsing_error"] is None


@pytest.mark.server
def test_an_extraction_chain(chat):
    prompt = ChatPromptTemplate.from_messages([("human", "Extract the person: {text}")])
    chain = prompt | chat.with_structured_output(Person)
    assert chain.batch([{"text": SENTENCE}] * 3) == [Person(**ADA)] * 3


@pytest.mark.server
def test_llama_cpp_is_held_to_the_schema_whatever_the_words(connection):
    properties = {"setup": {"type": "string"}, "punchline": {"type": "string"}}
    schema = {"title": "Joke", "type": "object", "properties": properties, "required": ["setup", "punchline"]}
    model = chat_on("tiny-chat", connection).with_structured_output(schema)
    assert set(model.invoke("Who are you?")) == {"setup", "punchline"}


@pytest.mark.server
def test_an_engine_that_is_held_to_nothing_is_checked(connection):
    model = chat_on("tiny-chat-hf", connection).with_structured_output(Person)
    with pytest.raises(XinferenceStructuredOutputError, match=r"not a Person.*The model said 'Red, green and blue.'"):
        model.invoke("Name three colors.")
