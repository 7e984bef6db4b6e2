"""SmolLM2-135M-Instruct on llama.cpp: real weights, not trained for tools. Checks the answers' form, not the text."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import BaseModel

from langchain_xinference_bridge import XinferenceEmbeddings
from tests.langchain_bridge.conftest import chat_on

pytestmark = pytest.mark.server


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@tool
def get_weather(city: str) -> str:
    """Get the weather for a city."""
    return f"It's sunny in {city}."


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture(params=["smollm2", "smollm2-tools"])
def smol(request: pytest.FixtureRequest, connection):
    """Without and with the ability to call tools: a forced call needs none."""
    return chat_on(request.param, connection, max_tokens=200, frequency_penalty=0.5)


def joined(chunks):
    first, *rest = chunks
    whole: AIMessage = first + rest
    return whole


@pytest.mark.parametrize("choice", ["any", "add"])
async def test_a_forced_call_is_made_whole_and_streamed(smol, choice: str):
    model = smol.bind_tools([get_weather, add], tool_choice=choice)
    asked = "What is 2 + 3?"
    for answer in (
        model.invoke(asked),
        await model.ainvoke(asked),
        joined(list(model.stream(asked))),
        joined([chunk async for chunk in model.astream(asked)]),
    ):
        [call] = answer.tool_calls
        assert call["name"] in ({"add"} if choice == "add" else {"add", "get_weather"})
        assert set(call["args"]) == ({"a", "b"} if call["name"] == "add" else {"city"})
        assert (answer.content, answer.response_metadata["finish_reason"]) == ("", "tool_calls")


@pytest.mark.parametrize("method", [None, "json_schema", "function_calling"])
async def test_a_structured_answer_is_of_its_class(smol, method):
    model = smol.with_structured_output(Person, method=method)
    asked = "Ada Lovelace was 36 years old."
    for value in (model.invoke(asked), await model.ainvoke(asked), list(model.stream(asked))[-1]):
        assert isinstance(value, Person)


def test_an_agent_ends_in_its_response_format(connection):
    model = chat_on("smollm2-tools", connection, max_tokens=200, frequency_penalty=0.5)
    agent = create_agent(model, [get_weather], response_format=Person)
    ended = agent.invoke({"messages": [("user", "Ada Lovelace was 36 years old.")]}, {"recursion_limit": 20})
    assert isinstance(ended["structured_response"], Person)


def test_a_question_is_answered_out_of_retrieved_documents(smol, connection):
    store = InMemoryVectorStore(XinferenceEmbeddings(model="minilm", connection=connection))
    store.add_documents([Document("The ferry takes 55 minutes."), Document("The museum is closed on Mondays.")])
    prompt = ChatPromptTemplate.from_template("Context: {context}\n\nQuestion: {question}")
    found = store.similarity_search("How long does the ferry take?", k=1)
    assert found[0].page_content == "The ferry takes 55 minutes."
    chain = prompt | smol | StrOutputParser()
    assert chain.invoke({"context": found[0].page_content, "question": "How long does the ferry take?"}).strip()


async def test_a_chat_streams_what_it_answers_whole(smol):
    asked = "What is the capital of France?"
    whole = smol.invoke(asked, max_tokens=40).content
    assert whole
    assert "".join(chunk.content for chunk in smol.stream(asked, max_tokens=40)) == whole
    assert (await smol.ainvoke(asked, max_tokens=40)).content == whole
    assert "".join([chunk.content async for chunk in smol.astream(asked, max_tokens=40)]) == whole


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_agent_with_tools_comes_to_an_end(connection, streamed):
    model = chat_on("smollm2-tools", connection, max_tokens=40)
    agent = create_agent(model, [get_weather, add])
    asked = {"messages": [("user", "Hello! Who are you?")]}
    if streamed:
        *_, ended = [state async for state in agent.astream(asked, {"recursion_limit": 20}, stream_mode="values")]
    else:
        ended = agent.invoke(asked, {"recursion_limit": 20})
    last = ended["messages"][-1]
    assert isinstance(last, AIMessage)
    assert not last.tool_calls
