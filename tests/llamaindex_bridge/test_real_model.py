"""SmolLM2-135M-Instruct on llama.cpp: real weights, not trained for tools. Checks the answers' form, not the text."""

from __future__ import annotations

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.selectors import PydanticSingleSelector
from llama_index.core.tools import QueryEngineTool

from llamaindex_xinference_bridge import XinferenceEmbedding, XinferenceLLM
from tests.llamaindex_bridge.tools import MULTIPLY, WEATHER, Person
from tests.support.versions import needs

WHOLE = needs("llama-index-core>=0.14.6", "an agent that does not stream says nothing of parallel calls")
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


async def test_a_chat_streams_what_it_answers_whole(smol):
    asked = [ChatMessage("What is the capital of France?", role="user")]
    whole = smol.chat(asked, max_tokens=40).message.content
    assert whole
    assert list(smol.stream_chat(asked, max_tokens=40))[-1].message.content == whole
    assert (await smol.achat(asked, max_tokens=40)).message.content == whole
    streamed = [response async for response in await smol.astream_chat(asked, max_tokens=40)]
    assert "".join(response.delta or "" for response in streamed) == whole


@pytest.fixture
def index(connection):
    texts = ["The ferry takes 55 minutes.", "The museum is closed on Mondays."]
    documents = [Document(text=text, id_=str(number)) for number, text in enumerate(texts)]
    embed_model = XinferenceEmbedding("minilm", connection=connection)
    return VectorStoreIndex.from_documents(documents, embed_model=embed_model)


@pytest.mark.slow
async def test_a_question_is_answered_out_of_retrieved_documents(smol, index):
    smol = smol.model_copy(update={"max_tokens": 30})
    engine = index.as_query_engine(llm=smol, similarity_top_k=1)
    answer = engine.query("How long does the ferry take?")
    assert str(answer).strip()
    assert [node.text for node in answer.source_nodes] == ["The ferry takes 55 minutes."]
    assert str(await engine.aquery("How long does the ferry take?")) == str(answer)
    streaming = index.as_query_engine(llm=smol, similarity_top_k=1, streaming=True)
    assert "".join(streaming.query("How long does the ferry take?").response_gen) == str(answer)


def test_a_router_picks_an_engine_by_an_enforced_answer(connection, index):
    smol = XinferenceLLM(
        "smollm2-tools", connection=connection, temperature=0, max_tokens=60, is_function_calling_model=True
    )
    tool = QueryEngineTool.from_defaults(index.as_query_engine(llm=smol), description="About the ferry and the museum.")
    router = RouterQueryEngine(
        selector=PydanticSingleSelector.from_defaults(llm=smol), query_engine_tools=[tool], llm=smol
    )
    assert str(router.query("How long does the ferry take?")).strip()


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
@pytest.mark.parametrize("streaming", [True, pytest.param(False, marks=WHOLE)])
async def test_an_agent_with_tools_comes_to_an_end(connection, streaming):
    smol = XinferenceLLM("smollm2-tools", connection=connection, temperature=0, max_tokens=40)
    await smol.aprepare()
    agent = FunctionAgent(tools=[WEATHER, MULTIPLY], llm=smol, streaming=streaming)
    answer = await agent.run("Hello! Who are you?", memory=ChatMemoryBuffer.from_defaults(token_limit=3000))
    assert str(answer).strip()


async def test_a_tool_is_called_and_its_result_is_read(smol):
    asked = ChatMessage("What is 3 times 4?", role="user")
    made = smol.predict_and_call([MULTIPLY], chat_history=[asked], tool_choice="multiply")
    [output] = made.sources
    assert (output.tool_name, output.is_error) == ("multiply", False)
    assert (await smol.apredict_and_call([MULTIPLY], chat_history=[asked], tool_choice="multiply")).response == str(
        output.content
    )
