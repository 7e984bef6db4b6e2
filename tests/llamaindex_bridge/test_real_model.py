"""SmolLM2-135M-Instruct on llama.cpp: real weights, taught no tools. Its answers' shape is held, not its words."""

from __future__ import annotations

import pytest
from llama_index.core.prompts import PromptTemplate

from llamaindex_xinference_bridge import XinferenceLLM
from tests.llamaindex_bridge.tools import MULTIPLY, WEATHER, Person

pytestmark = pytest.mark.server

EXTRACT = PromptTemplate("Extract the person: {sentence}")
SENTENCE = "Ada Lovelace was 36 years old."


@pytest.fixture(params=["smollm2", "smollm2-tools"])
def smol(request: pytest.FixtureRequest, connection) -> XinferenceLLM:
    return XinferenceLLM(
        request.param,
        connection=connection,
        temperature=0,
        max_tokens=200,
        frequency_penalty=0.5,
        is_function_calling_model=True,
    )


async def test_a_forced_call_is_made_whole_and_streamed(smol):
    asked = "What is 3 times 4?"
    keywords = {"tool_choice": "multiply"}
    responses = [
        smol.chat_with_tools([WEATHER, MULTIPLY], asked, **keywords),
        await smol.achat_with_tools([WEATHER, MULTIPLY], asked, **keywords),
        list(smol.stream_chat_with_tools([WEATHER, MULTIPLY], asked, **keywords))[-1],
    ]
    for response in responses:
        [call] = smol.get_tool_calls_from_response(response)
        assert (call.tool_name, set(call.tool_kwargs)) == ("multiply", {"a", "b"})
        assert response.additional_kwargs["finish_reason"] == "tool_calls"


async def test_a_structured_answer_is_of_its_class(smol):
    assert isinstance(smol.structured_predict(Person, EXTRACT, sentence=SENTENCE), Person)
    assert isinstance(await smol.astructured_predict(Person, EXTRACT, sentence=SENTENCE), Person)
    assert isinstance(list(smol.stream_structured_predict(Person, EXTRACT, sentence=SENTENCE))[-1], Person)
