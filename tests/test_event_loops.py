"""The package never blocks an event loop: BlockBuster raises on a blocking call in a running loop.

`langgraph dev` runs graphs under the same guard.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from blockbuster import BlockBuster, BlockingError
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import NodeWithScore, TextNode

import langchain_xinference_bridge as for_langchain
import llamaindex_xinference_bridge as for_llamaindex
from xinference_bridge import XinferenceConnection
from xinference_bridge.client import registry as clients
from xinference_bridge.client.auth import registry as gates


@pytest.fixture(autouse=True)
def _no_blocking_call():
    gates.reset()
    guard = BlockBuster()
    guard.activate()
    yield
    guard.deactivate()
    clients.close_all()
    gates.reset()


async def test_the_guard_is_active():
    with pytest.raises(BlockingError):
        os.getcwd()  # noqa: PTH109 - Python 3.10's pathlib keeps the function as it was before the guard


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
    # No cached state: the process has not seen these variables before.
    monkeypatch.setenv("XINFERENCE_ENDPOINT", "http://seen-in-the-loop:1")
    monkeypatch.setenv("XINFERENCE_API_KEY", "xf-key-of-the-loop")
    built = build()
    own = isinstance(built, XinferenceConnection)
    connection = built if own else getattr(built, "connection", None) or built._connection()
    assert connection.server_url == "http://seen-in-the-loop:1"


def test_what_a_dotenv_states_holds_in_the_loop_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("XINFERENCE_ENDPOINT=http://dotenv:1\n")
    assert XinferenceConnection().server_url == "http://dotenv:1"

    async def build() -> str:
        return XinferenceConnection().server_url

    assert asyncio.run(build()) == "http://dotenv:1"


HELLO = [ChatMessage("Hi")]
TEXTS = ["Paris is in France.", "Rome is in Italy."]


#: Async methods: the object and the call.
VERBS = {
    "list of models": lambda c: c.amodels(),
    "langchain chat": lambda c: for_langchain.ChatXinference(model="tiny-chat", connection=c, temperature=0).ainvoke(
        "Hi"
    ),
    "langchain embeddings": lambda c: for_langchain.XinferenceEmbeddings(model="minilm", connection=c).aembed_documents(
        TEXTS
    ),
    "langchain query": lambda c: for_langchain.XinferenceEmbeddings(model="minilm", connection=c).aembed_query("Rome"),
    "langchain sparse": lambda c: for_langchain.XinferenceSparseEmbeddings(
        model_uid="bge-m3", connection=c
    ).aembed_documents(TEXTS),
    "langchain stream": lambda c: _all(
        for_langchain.ChatXinference(model="tiny-chat", connection=c, temperature=0).astream("Hi")
    ),
    "langchain completion": lambda c: for_langchain.XinferenceLLM(
        model="tiny-chat", connection=c, temperature=0, max_tokens=8
    ).ainvoke("Hi"),
    "langchain rerank": lambda c: for_langchain.XinferenceRerank(model="tiny-rerank", connection=c).arerank(
        "Rome", TEXTS
    ),
    "llamaindex chat": lambda c: for_llamaindex.XinferenceLLM("tiny-chat", connection=c, temperature=0).achat(HELLO),
    "llamaindex stream": lambda c: _opened(
        for_llamaindex.XinferenceLLM("tiny-chat", connection=c, temperature=0).astream_chat(HELLO)
    ),
    "llamaindex embedding": lambda c: for_llamaindex.XinferenceEmbedding(
        "minilm", connection=c
    ).aget_text_embedding_batch(TEXTS),
    "llamaindex rerank": lambda c: for_llamaindex.XinferenceRerank("tiny-rerank", connection=c).apostprocess_nodes(
        [NodeWithScore(node=TextNode(text=text)) for text in TEXTS], query_str="Rome"
    ),
}


async def _all(chunks: AsyncIterator[Any]) -> list[Any]:
    return [chunk async for chunk in chunks]


async def _opened(opening: Awaitable[AsyncIterator[Any]]) -> list[Any]:
    return await _all(await opening)


@pytest.mark.server
@pytest.mark.parametrize("ask", VERBS.values(), ids=VERBS)
async def test_an_async_verb_makes_no_blocking_call(ask, lab):
    assert await ask(XinferenceConnection(lab.url, api_key=lab.api_key))
