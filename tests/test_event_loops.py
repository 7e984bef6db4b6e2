"""Nothing of ours blocks an event loop: BlockBuster raises on every blocking call that is made in a running one.

`langgraph dev` runs graphs under the same guard.
"""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from blockbuster import BlockBuster, BlockingError
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import NodeWithScore, TextNode

import langchain_xinference_bridge as for_langchain
import llamaindex_xinference_bridge as for_llamaindex
from tests.langchain_bridge.test_agents import ADA, SUNNY, Person, get_weather
from xinference_bridge import XinferenceConnection
from xinference_bridge.client import registry as clients
from xinference_bridge.client.auth import registry as gates

HELLO = "Say hello."
FACT = "Ada Lovelace was 36 years old."
TEXTS = ["a cat", "a dog", "a ship"]


@pytest.fixture(autouse=True)
def _no_blocking_call():
    gates.reset()
    guard = BlockBuster()
    guard.activate()
    yield
    guard.deactivate()
    clients.close_all()
    gates.reset()


@pytest.fixture
def connection(lab):
    return XinferenceConnection(lab.url, api_key=lab.api_key)


async def test_the_guard_stands():
    with pytest.raises(BlockingError):
        Path.cwd()


CLASSES = {
    "connection": XinferenceConnection,
    "langchain chat": lambda: for_langchain.ChatXinference(model_uid="m"),
    "langchain llm": lambda: for_langchain.XinferenceLLM(model_uid="m"),
    "langchain embeddings": lambda: for_langchain.XinferenceEmbeddings(model_uid="m"),
    "langchain rerank": lambda: for_langchain.XinferenceRerank(model_uid="m"),
    "llamaindex llm": lambda: for_llamaindex.XinferenceLLM("m"),
    "llamaindex embedding": lambda: for_llamaindex.XinferenceEmbedding("m"),
    "llamaindex rerank": lambda: for_llamaindex.XinferenceRerank("m"),
}


@pytest.mark.parametrize("build", CLASSES.values(), ids=CLASSES)
async def test_building_in_a_running_loop_touches_no_file(build, monkeypatch):
    # Nothing is kept from before: the variables are new to the process.
    monkeypatch.setenv("XINFERENCE_ENDPOINT", "http://seen-in-the-loop:1")
    monkeypatch.setenv("XINFERENCE_API_KEY", "xf-key-of-the-loop")
    built = build()
    connection = (
        built
        if isinstance(built, XinferenceConnection)
        else (getattr(built, "connection", None) or built._connection())
    )
    assert connection.server_url == "http://seen-in-the-loop:1"


def test_what_a_dotenv_states_holds_in_the_loop_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("XINFERENCE_ENDPOINT=http://dotenv:1\n")
    assert XinferenceConnection().server_url == "http://dotenv:1"

    async def build() -> str:
        return XinferenceConnection().server_url

    assert asyncio.run(build()) == "http://dotenv:1"


@pytest.mark.server
async def test_an_agent_on_either_engine_ends_in_a_value_with_no_socket_for_the_profile(connection):
    for uid in ("tiny-chat", "tiny-chat-hf"):
        chat = for_langchain.ChatXinference(model_uid=uid, connection=connection, temperature=0, max_tokens=200)
        agent = create_agent(chat, [], response_format=Person)
        assert (await agent.ainvoke({"messages": [HumanMessage(FACT)]}))["structured_response"] == ADA


@pytest.mark.server
async def test_a_prepared_profile_is_whole_in_the_loop(connection):
    chat = for_langchain.ChatXinference(model_uid="tiny-chat", connection=connection)
    assert dict(chat.profile) == {}
    await chat.aprepare()
    assert chat.profile["tool_calling"] is True


@pytest.mark.server
async def test_the_async_methods_of_the_langchain_classes_block_nothing(connection):
    chat = for_langchain.ChatXinference(model_uid="tiny-chat", connection=connection, temperature=0, max_tokens=200)
    answer = await chat.ainvoke(HELLO)
    assert "".join([chunk.text async for chunk in chat.astream(HELLO)]) == answer.text
    assert await chat.with_structured_output(Person).ainvoke(FACT) == ADA
    agent = create_agent(chat, [get_weather])
    asked = {"messages": [HumanMessage("What is the weather in Paris?")]}
    assert (await agent.ainvoke(asked))["messages"][-1].text == SUNNY
    vectors = await for_langchain.XinferenceEmbeddings(model_uid="minilm", connection=connection).aembed_documents(
        TEXTS
    )
    assert len(vectors) == len(TEXTS)
    reranker = for_langchain.XinferenceRerank(model_uid="tiny-rerank", connection=connection, top_n=1)
    assert len(await reranker.acompress_documents([Document(text) for text in TEXTS], "a cat")) == 1


@pytest.mark.server
async def test_the_async_methods_of_the_llamaindex_classes_block_nothing(connection):
    llm = for_llamaindex.XinferenceLLM("tiny-chat", connection=connection, temperature=0, max_tokens=200)
    asked = [ChatMessage(HELLO)]
    answer = (await llm.achat(asked)).message.content
    assert [part async for part in await llm.astream_chat(asked)][-1].message.content == answer
    embedding = for_llamaindex.XinferenceEmbedding("minilm", connection=connection)
    assert len(await embedding.aget_text_embedding_batch(TEXTS)) == len(TEXTS)
    reranker = for_llamaindex.XinferenceRerank("tiny-rerank", connection=connection, top_n=1)
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]
    assert len(await reranker.apostprocess_nodes(nodes, query_str="a cat")) == 1
