"""The JSON of a structured answer is found in any text, its integers stay exact, and errors quote the answer."""

from __future__ import annotations

import json

import pytest

from xinference_bridge.protocol.chat.json_schema import violation
from xinference_bridge.protocol.chat.request import StructuredOutput
from xinference_bridge.protocol.chat.structured_output import json_of_answer, not_structured, what_was_said
from xinference_bridge.protocol.exact_json import loads_exact
from xinference_bridge.protocol.http import JSON

SCHEMA: JSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
WANTED = StructuredOutput("Person", SCHEMA)
VALUE = '{"name": "Ada ``` { \\" }", "age": 36}'


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "\n  {}\n",
        "```json\n{}\n```",
        "```\n{}\n```",
        "```JSON\n{}\n```",
        "```json\n{}",  # never closed
        "```json{}```",  # on one line
        "```json {}```",
        "```{}```",
        "Sure! Here it is:\n\n```json\n{}\n```\nAnything else?",
        "Sure! Here it is: {} Anything else?",
        'The schema is {{"type": "object"}}, so the answer is {}.',
        "As {{asked}}, [here]: {}",
        "```python\nprint(1)\n```\nand\n```json\n{}\n```",
        "<answer>{}</answer>",
    ],
)
def test_the_json_is_found_whatever_stands_around_it(around: str):
    assert json_of_answer(around.replace("{}", VALUE).replace("{{", "{").replace("}}", "}"), (), WANTED) == VALUE


@pytest.mark.parametrize("text", ["I would rather not.", "", "```json\n```", '{"name": "Ada', "{" * 10_000])
def test_a_text_without_json_stays_what_it_is(text: str):
    assert json_of_answer(text, (), WANTED) == text.strip()


def test_json_of_another_schema_is_taken_where_there_is_no_other():
    assert json_of_answer('It is {"colour": "red"}.', (), WANTED) == '{"colour": "red"}'


def test_the_arguments_of_the_wanted_call_come_first_and_a_lone_one_is_meant():
    assert json_of_answer("{}", [("Other", "1"), ("Person", "2")], WANTED) == "2"
    assert json_of_answer("{}", [("Other", "1")], WANTED) == "1"


@pytest.mark.parametrize("digits", [1, 15, 16, 18, 19, 20, 40, 400])
@pytest.mark.parametrize("sign", ["", "-"])
def test_integers_of_any_size_are_exact(digits: int, sign: str):
    text = f'{{"n": [{sign}{"9" * digits}, 0.5], "text": "1{"0" * 30}"}}'
    assert loads_exact(text) == json.loads(text)
    assert type(loads_exact(text)["n"][0]) is int


@pytest.mark.parametrize("text", ["NaN", '{"a": NaN, "b": 11111111111111111111}', "[1111111111111111111111,]", "["])
def test_what_is_not_json_is_refused_whatever_reads_it(text: str):
    with pytest.raises(ValueError):  # noqa: PT011 - two libraries' errors, of this one base
        loads_exact(text)


def test_a_refusal_quotes_what_the_model_said_calls_included():
    shown = what_was_said("Well.", [("Person", '{"name": "Ad'), ("", "???")])
    assert shown == 'Well. Person({"name": "Ad) ?(???)'
    assert shown in str(not_structured(shown, WANTED, "it is not JSON").body)


@pytest.mark.parametrize(
    "definition",
    [
        {"$ref": "#/$defs/A"},
        {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "string"}]},
        {"allOf": [{"$ref": "#/$defs/A"}]},
        {"type": "object", "properties": {"n": {"$ref": "#/$defs/A"}}},
    ],
)
def test_a_definition_of_itself_is_checked_to_its_end(definition: JSON):
    schema = {"type": "object", "properties": {"n": {"$ref": "#/$defs/A"}}, "$defs": {"A": definition}}
    assert violation({"n": {"n": {"n": {}}}}, schema) is None
    assert violation([], schema) is not None


def test_a_name_that_a_pattern_allows_is_no_additional_one():
    schema = {"patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False}
    assert violation({"x1": 1}, schema) is None
    assert "x1 should be of type integer" in str(violation({"x1": "1"}, schema))
    assert "y is not allowed" in str(violation({"y": 1}, schema))
