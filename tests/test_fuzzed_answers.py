"""Any response of a server, at any endpoint and through either framework, gives an answer or an XinferenceError."""

from __future__ import annotations

import asyncio
import json
import warnings
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import NodeWithScore, TextNode

import langchain_xinference_bridge as lc
import llamaindex_xinference_bridge as li
from tests.core.asks import MODES, body_of, recorded
from tests.support.fuzzing import FUZZ, answering, changed_answers, original, stream_of
from xinference_bridge import XinferenceConnection, XinferenceError
from xinference_bridge.client import registry as clients

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[[dict[str, Any]], Any]

URL = "http://127.0.0.1:1"
TEXTS = ["a cat", "a dog", "a ship"]


def connection() -> XinferenceConnection:
    return XinferenceConnection(URL, max_retries=0)


@lru_cache
def models() -> dict[str, Any]:
    there = connection()
    return {
        "lc chat": lc.ChatXinference(model="tiny-chat", connection=there, logprobs=True),
        "lc llm": lc.XinferenceLLM(model="tiny-chat", connection=there),
        "lc embed": lc.XinferenceEmbeddings(model="minilm", connection=there),
        "lc rerank": lc.XinferenceRerank(model="tiny-rerank", connection=there),
        "li llm": li.Xinference(model="tiny-chat", connection=there, logprobs=True),
        "li embed": li.XinferenceEmbedding(model="minilm", connection=there),
        "li rerank": li.XinferenceRerank(model="tiny-rerank", connection=there),
    }


def profile() -> dict[str, Any]:
    """What LangChain's agents read of a model before they ask it."""
    return dict(lc.ChatXinference(model="tiny-chat", connection=connection()).profile or {})


def nodes() -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]


DOCUMENTS = [Document(page_content=text) for text in TEXTS]
CHAT, COMPLETE = "/v1/chat/completions", "/v1/completions"
#: The call, sync and async, the path whose response is changed, and a real server's response there.
CALLS: dict[str, tuple[Ask, Ask, str, str]] = {
    "LangChain chat": (lambda m: m["lc chat"].invoke("hi"), lambda m: m["lc chat"].ainvoke("hi"), CHAT, "chat"),
    "LangChain completion": (
        lambda m: m["lc llm"].invoke("hi"),
        lambda m: m["lc llm"].ainvoke("hi"),
        COMPLETE,
        "completion",
    ),
    "LangChain embeddings": (
        lambda m: m["lc embed"].embed_documents(TEXTS),
        lambda m: m["lc embed"].aembed_documents(TEXTS),
        "/v1/embeddings",
        "embeddings",
    ),
    "LangChain rerank": (
        lambda m: m["lc rerank"].compress_documents(DOCUMENTS, "cat"),
        lambda m: m["lc rerank"].acompress_documents(DOCUMENTS, "cat"),
        "/v1/rerank",
        "rerank",
    ),
    "LlamaIndex chat": (
        lambda m: m["li llm"].chat([ChatMessage("hi")]),
        lambda m: m["li llm"].achat([ChatMessage("hi")]),
        CHAT,
        "chat",
    ),
    "LlamaIndex completion": (
        lambda m: m["li llm"].complete("hi"),
        lambda m: m["li llm"].acomplete("hi"),
        CHAT,
        "chat",
    ),
    "LlamaIndex embeddings": (
        lambda m: m["li embed"].get_text_embedding_batch(TEXTS),
        lambda m: m["li embed"].aget_text_embedding_batch(TEXTS),
        "/v1/embeddings",
        "embeddings",
    ),
    "LlamaIndex rerank": (
        lambda m: m["li rerank"].postprocess_nodes(nodes(), query_str="cat"),
        lambda m: m["li rerank"].apostprocess_nodes(nodes(), query_str="cat"),
        "/v1/rerank",
        "rerank",
    ),
    "models": (lambda _: connection().models(), lambda _: connection().amodels(), "/v1/models", "models"),
    "a model": (
        lambda _: connection().model("minilm"),
        lambda _: connection().amodel("minilm"),
        "/v1/models",
        "models",
    ),
    "a description": (
        lambda _: profile(),
        lambda m: m["li llm"].aprepare(),
        "/v1/models/tiny-chat",
        "describe_chat",
    ),
    "metadata": (
        lambda m: m["li llm"].metadata,
        lambda m: m["lc chat"].aprepare(),
        "/v1/models/tiny-chat",
        "describe_chat",
    ),
}
STREAMS: dict[str, tuple[Ask, Ask, str, str]] = {
    "LangChain chat": (
        lambda m: list(m["lc chat"].stream("hi")),
        lambda m: read(m["lc chat"].astream("hi")),
        CHAT,
        "chat_stream",
    ),
    "LangChain completion": (
        lambda m: list(m["lc llm"].stream("hi")),
        lambda m: read(m["lc llm"].astream("hi")),
        COMPLETE,
        "completion_stream",
    ),
    "LlamaIndex chat": (
        lambda m: list(m["li llm"].stream_chat([ChatMessage("hi")])),
        lambda m: read_awaited(m["li llm"].astream_chat([ChatMessage("hi")])),
        CHAT,
        "chat_stream",
    ),
    "LlamaIndex completion": (
        lambda m: list(m["li llm"].stream_complete("hi")),
        lambda m: read_awaited(m["li llm"].astream_complete("hi")),
        CHAT,
        "chat_stream",
    ),
}


async def read(stream: Any) -> None:
    async for _ in stream:
        pass


async def read_awaited(stream: Any) -> None:
    await read(await stream)


def asked(mode: str, calls: tuple[Ask, Ask, str, str]) -> tuple[Ask, str, str]:
    """What to call in this mode, the path, and what is answered there."""
    sync, not_sync, path, what = calls
    return (sync if mode == "sync" else lambda m: asyncio.run(awaited(not_sync, m))), path, what


async def awaited(do: Ask, m: dict[str, Any]) -> Any:
    return await do(m)


def healthy(path: str) -> bytes:
    names = {"/v1/models/minilm": "minilm", "/v1/models/tiny-rerank": "rerank", "/v1/models/tiny-chat": "chat"}
    return body_of(recorded(f"describe_{names[path]}" if path in names else "models"))


def call(monkeypatch: pytest.MonkeyPatch, do: Callable[[dict[str, Any]], Any], path: str, answer: Any) -> None:
    clients.close_all()
    with answering(monkeypatch, lambda asked: answer if asked == path else healthy(asked)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(XinferenceError):
            do(models())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CALLS)
def test_an_answer_with_any_place_changed_is_read_or_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, name: str, mode: str
):
    do, path, what = asked(mode, CALLS[name])

    @FUZZ
    @given(changed_answers(original(what)))
    def check(answer: bytes) -> None:
        call(monkeypatch, do, path, answer)

    check()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CALLS)
def test_any_bytes_are_read_or_an_error_of_ours(monkeypatch: pytest.MonkeyPatch, name: str, mode: str):
    do, path, what = asked(mode, CALLS[name])
    whole = json.dumps(original(what)).encode()

    @FUZZ
    @given(st.binary(max_size=40) | st.integers(0, len(whole)).map(lambda at: whole[:at]))
    def check(answer: bytes) -> None:
        call(monkeypatch, do, path, answer)

    check()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_with_any_place_changed_is_read_or_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, name: str, mode: str
):
    do, path, what = asked(mode, STREAMS[name])
    events = stream_of(what)

    @FUZZ
    @given(st.data())
    def check(data: st.DataObject) -> None:
        at = data.draw(st.integers(0, min(3, len(events) - 1)))
        pieces = [b"data: " + json.dumps(event).encode() + b"\r\n\r\n" for event in events]
        pieces[at] = b"data: " + data.draw(changed_answers(events[at]) | st.binary(max_size=20)) + b"\r\n\r\n"
        call(monkeypatch, do, path, pieces)

    check()
