"""Structured prediction: enforced by llama.cpp, requested in the prompt and validated on transformers."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import BaseModel, ConfigDict
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import PydanticProgramMode

from llamaindex_xinference_bridge import XinferenceLLM
from llamaindex_xinference_bridge._responses import chat_response
from llamaindex_xinference_bridge._structured import object_from_response, structured_output
from tests.llamaindex_bridge.test_messages import answer
from tests.llamaindex_bridge.tools import ALBUM, Album, Person
from xinference_bridge.errors import XinferenceUnsupportedError
from xinference_bridge.protocol.chat.tool_calls import ToolCall

EXTRACT = PromptTemplate("Extract the person: {sentence}")
SENTENCE = "Ada Lovelace was 36 years old."
ADA = Person(name="Ada Lovelace", age=36)
EXAMPLE = PromptTemplate("Generate an example album from {band}.")


@pytest.mark.server
def test_structured_predict_gives_a_valid_object(either_llm):
    assert either_llm.structured_predict(Person, EXTRACT, sentence=SENTENCE) == ADA


@pytest.mark.server
async def test_astructured_predict_gives_a_valid_object(either_llm):
    assert await either_llm.astructured_predict(Person, EXTRACT, sentence=SENTENCE) == ADA


@pytest.mark.server
def test_objects_within_objects(either_llm):
    assert either_llm.structured_predict(Album, EXAMPLE, llm_kwargs={"max_tokens": 300}, band="The Beatles") == ALBUM


@pytest.mark.server
def test_a_streamed_object_grows_field_by_field(either_llm):
    objects = list(either_llm.stream_structured_predict(Album, EXAMPLE, band="The Beatles"))
    assert objects[-1] == ALBUM
    names = [getattr(partial, "name", None) for partial in objects]
    assert names[-1] == "Blue Harbour"
    assert len(objects) >= 2


@pytest.mark.server
async def test_a_streamed_object_grows_for_async_callers_too(llm):
    stream = await llm.astream_structured_predict(Album, EXAMPLE, band="The Beatles")
    objects = [partial async for partial in stream]
    assert objects[-1] == ALBUM
    assert len(objects) > 5
    assert any(getattr(partial, "name", None) and not getattr(partial, "songs", None) for partial in objects)


@pytest.mark.server
@pytest.mark.filterwarnings("ignore:The `json` method is deprecated")  # llama-index-core's StructuredLLM calls it
async def test_a_structured_llm_answers_in_objects(either_llm):
    structured = either_llm.as_structured_llm(Person)
    response = structured.chat([ChatMessage(role="user", content=f"Extract the person: {SENTENCE}")])
    assert response.raw == ADA
    assert Person.model_validate_json(response.message.content) == ADA
    assert (await structured.acomplete(f"Extract the person: {SENTENCE}")).raw == ADA
    *_, last = structured.stream_chat([ChatMessage(role="user", content=f"Extract the person: {SENTENCE}")])
    assert last.raw == ADA


class Tower(BaseModel):
    """A tower."""

    model_config = ConfigDict(extra="forbid")  # a grammar lets a weak model add fields without end
    height: Literal["tall", "small"]


@pytest.mark.server
def test_llama_cpp_is_held_to_a_schema_that_it_was_never_taught(llm):
    hello = [ChatMessage(role="user", content="Hello")]
    response = llm.chat(hello, structured_output=structured_output(Tower), max_tokens=60)
    # A grammar lets whitespace repeat, and so weak a model may go on with it to the end.
    said = re.sub(r"\s", "", response.message.content)
    assert len(said) > 1
    assert any(whole.startswith(said) for whole in ('{"height":"tall"}', '{"height":"small"}'))


@pytest.mark.server
async def test_what_no_engine_enforces_is_refused_with_the_model_s_words(connection):
    llm = XinferenceLLM("tiny-chat-hf", connection=connection, temperature=0, max_tokens=40)
    refusal = r"The answer is not a Tower: .*The model said .*llama.cpp, vLLM and SGLang"
    with pytest.raises(XinferenceUnsupportedError, match=refusal):
        llm.structured_predict(Tower, PromptTemplate("Hello"))
    with pytest.raises(XinferenceUnsupportedError, match=refusal):
        list(llm.stream_structured_predict(Tower, PromptTemplate("Hello")))
    with pytest.raises(XinferenceUnsupportedError, match=refusal):
        await llm.astructured_predict(Tower, PromptTemplate("Hello"))


@pytest.mark.server
def test_an_answer_that_was_cut_says_so(llm):
    with pytest.raises(XinferenceUnsupportedError, match="It was cut at max_tokens: allow more"):
        llm.structured_predict(Album, EXAMPLE, llm_kwargs={"max_tokens": 10}, band="The Beatles")


@pytest.mark.server
def test_llamaindex_s_own_program_by_function_calling_works_too(either_llm):
    program = FunctionCallingProgram.from_defaults(Album, prompt=EXAMPLE, llm=either_llm)
    assert program(band="The Beatles") == ALBUM
    *_, last = program.stream_call(band="The Beatles")
    assert last == ALBUM


@pytest.mark.server
def test_the_caller_s_own_choice_of_a_program_is_kept(llm, vcr):
    llm.pydantic_program_mode = PydanticProgramMode.LLM
    assert llm.structured_predict(Album, EXAMPLE, band="The Beatles") == ALBUM


def test_the_schema_name_is_the_class_name_in_valid_characters():
    class Pair(BaseModel):
        """Two."""

        model_config = ConfigDict(title="Pair[int]")
        one: int

    wanted = structured_output(Pair)
    assert (wanted.name, wanted.description) == ("Pair_int_", "Two.")
    assert wanted.schema["properties"]["one"]["type"] == "integer"


@pytest.mark.parametrize(
    "said",
    [
        answer(text='{"name": "Ada Lovelace", "age": 36}'),
        answer(text='Here it is:\n```json\n{"name": "Ada Lovelace", "age": 36}\n```\nDone.'),
        answer(tool_calls=[ToolCall("c1", "Person", '{"name": "Ada Lovelace", "age": 36}')]),
    ],
    ids=["text", "fence", "call"],
)
def test_an_object_is_read_from_text_from_a_fence_and_from_a_call(said):
    assert object_from_response(chat_response(said), Person, structured_output(Person)) == ADA


def test_an_invalid_object_is_refused_with_the_field_that_is_wrong():
    with pytest.raises(XinferenceUnsupportedError, match=r"not a Person: age: Field required.*'\{\"name\": \"Ada\"\}'"):
        object_from_response(chat_response(answer(text='{"name": "Ada"}')), Person, structured_output(Person))


BIG = 123456789012345678901234567890


def test_integers_of_any_size_are_exact_as_text_and_as_a_call():
    text = f'{{"name": "Ada", "age": {BIG}}}'
    for given in (answer(text=text), answer(tool_calls=[ToolCall("1", "Person", text)])):
        found = object_from_response(chat_response(given), Person, structured_output(Person))
        assert found == Person(name="Ada", age=BIG)


def test_a_refusal_quotes_an_unreadable_call():
    broken = ToolCall("1", "Person", '{"name": "Ad', "the arguments are not JSON")
    with pytest.raises(XinferenceUnsupportedError, match=r"Let me see\. Person\(\{\"name\": \"Ad\)"):
        object_from_response(
            chat_response(answer(text="Let me see.", tool_calls=[broken])), Person, structured_output(Person)
        )
