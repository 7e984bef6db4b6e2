"""The load for `failover.py`: every kind of call, sync and async, through both bridges, over one connection."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.schema import NodeWithScore, TextNode

import langchain_xinference_bridge as lc
import llamaindex_xinference_bridge as li
from xinference_bridge import XinferenceConnection, XinferenceError

QUESTION, STORY = "What is the capital of France?", "Write a story about a cat."
TEXTS = ["a cat", "a dog", "a ship"]
#: Seconds between two calls of one caller, so that two cores can serve sixteen callers.
PAUSE = 0.1

Heard = Callable[[], object]
Ask = Callable[[Heard], Any]
AsyncAsk = Callable[[Heard], Awaitable[Any]]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one call. Times are seconds of the run."""

    kind: str
    began: float
    ended: float
    error: str = ""
    """The error's class and message; empty if the call succeeded."""
    broken: bool = False
    """Whether text arrived before the error."""
    wrong: bool = False
    """Whether the answer differs from that of the first call of the same kind."""


@dataclass
class Load:
    """Callers that send requests until they are stopped."""

    connection: XinferenceConnection
    outcomes: list[Outcome] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Start one thread per sync caller, and one thread with an event loop for all async callers."""
        for kind, ask in sync_asks(self.connection).items():
            self._threads.append(threading.Thread(target=self._call, args=(kind, ask), daemon=True))
        self._threads.append(threading.Thread(target=lambda: asyncio.run(self._call_all()), daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> list[Outcome]:
        """Let every caller finish its call. Return all outcomes."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self.outcomes

    def now(self) -> float:
        """Return the seconds since the load started."""
        return time.perf_counter() - self.began

    def _call(self, kind: str, ask: Ask) -> None:
        expected: Any = None
        while not self._stop.is_set():
            began, heard = self.now(), threading.Event()
            try:
                answer = ask(heard.set)
            except XinferenceError as error:
                self._failed(kind, began, error, broken=heard.is_set())
            else:
                expected = answer if expected is None else expected
                self.outcomes.append(Outcome(kind, began, self.now(), wrong=answer != expected))
            time.sleep(PAUSE)

    async def _call_all(self) -> None:
        async with self.connection:
            await asyncio.gather(*(self._acall(kind, ask) for kind, ask in async_asks(self.connection).items()))

    async def _acall(self, kind: str, ask: AsyncAsk) -> None:
        expected: Any = None
        while not self._stop.is_set():
            began, heard = self.now(), threading.Event()
            try:
                answer = await ask(heard.set)
            except XinferenceError as error:
                self._failed(kind, began, error, broken=heard.is_set())
            else:
                expected = answer if expected is None else expected
                self.outcomes.append(Outcome(kind, began, self.now(), wrong=answer != expected))
            await asyncio.sleep(PAUSE)

    def _failed(self, kind: str, began: float, error: XinferenceError, *, broken: bool) -> None:
        self.outcomes.append(Outcome(kind, began, self.now(), f"{type(error).__name__}: {error}", broken))


def sync_asks(connection: XinferenceConnection) -> dict[str, Ask]:
    """Return the sync calls, as users of the frameworks write them; each reports the first text of a stream."""
    chat = lc.ChatXinference(model_uid="tiny-chat", connection=connection, temperature=0, max_tokens=80)
    embeddings = lc.XinferenceEmbeddings(model_uid="minilm", connection=connection)
    reranker = lc.XinferenceRerank(model_uid="tiny-rerank", connection=connection)
    llm = li.XinferenceLLM("tiny-chat", connection=connection, temperature=0, max_tokens=80)
    embed_model = li.XinferenceEmbedding("minilm", connection=connection)
    node_reranker = li.XinferenceRerank("tiny-rerank", connection=connection)

    def joined(pieces: Iterable[str | None], heard: Heard) -> str:
        text = ""
        for piece in pieces:
            if piece:
                heard()
                text += piece
        return text

    return {
        "LangChain chat": lambda _: chat.invoke(QUESTION).text,
        "LangChain stream": lambda heard: joined((chunk.text for chunk in chat.stream(STORY)), heard),
        "LangChain embeddings": lambda _: _rounded(embeddings.embed_documents(TEXTS)),
        "LangChain rerank": lambda _: [entry["index"] for entry in reranker.rerank("a cat", TEXTS)],
        "LlamaIndex chat": lambda _: llm.chat([ChatMessage(QUESTION)]).message.content,
        "LlamaIndex stream": lambda heard: joined(
            (answer.delta for answer in llm.stream_chat([ChatMessage(STORY)])), heard
        ),
        "LlamaIndex embeddings": lambda _: _rounded(embed_model.get_text_embedding_batch(TEXTS)),
        "LlamaIndex rerank": lambda _: _texts(node_reranker.postprocess_nodes(_nodes(), query_str="a cat")),
    }


def async_asks(connection: XinferenceConnection) -> dict[str, AsyncAsk]:
    """Async version of `sync_asks`."""
    return _langchain_async(connection) | _llamaindex_async(connection)


def _langchain_async(connection: XinferenceConnection) -> dict[str, AsyncAsk]:
    chat = lc.ChatXinference(model_uid="tiny-chat", connection=connection, temperature=0, max_tokens=80)
    embeddings = lc.XinferenceEmbeddings(model_uid="minilm", connection=connection)
    reranker = lc.XinferenceRerank(model_uid="tiny-rerank", connection=connection)

    async def whole(_: Heard) -> str:
        return (await chat.ainvoke(QUESTION)).text

    async def streamed(heard: Heard) -> str:
        text = ""
        async for chunk in chat.astream(STORY):
            if chunk.text:
                heard()
                text += chunk.text
        return text

    async def embedded(_: Heard) -> list[list[float]]:
        return _rounded(await embeddings.aembed_documents(TEXTS))

    async def ranked(_: Heard) -> list[int]:
        return [entry["index"] for entry in await reranker.arerank("a cat", TEXTS)]

    return {
        "LangChain chat, async": whole,
        "LangChain stream, async": streamed,
        "LangChain embeddings, async": embedded,
        "LangChain rerank, async": ranked,
    }


def _llamaindex_async(connection: XinferenceConnection) -> dict[str, AsyncAsk]:
    llm = li.XinferenceLLM("tiny-chat", connection=connection, temperature=0, max_tokens=80)
    embed_model = li.XinferenceEmbedding("minilm", connection=connection)
    reranker = li.XinferenceRerank("tiny-rerank", connection=connection)

    async def whole(_: Heard) -> str | None:
        answer: str | None = (await llm.achat([ChatMessage(QUESTION)])).message.content
        return answer

    async def streamed(heard: Heard) -> str:
        text = ""
        async for answer in await llm.astream_chat([ChatMessage(STORY)]):
            if answer.delta:
                heard()
                text += answer.delta
        return text

    async def embedded(_: Heard) -> list[list[float]]:
        return _rounded(await embed_model.aget_text_embedding_batch(TEXTS))

    async def ranked(_: Heard) -> list[str]:
        return _texts(await reranker.apostprocess_nodes(_nodes(), query_str="a cat"))

    return {
        "LlamaIndex chat, async": whole,
        "LlamaIndex stream, async": streamed,
        "LlamaIndex embeddings, async": embedded,
        "LlamaIndex rerank, async": ranked,
    }


def _rounded(vectors: list[list[float]]) -> list[list[float]]:
    """Round the vectors to the precision at which two servers agree: the last bits depend on the rest of the batch."""
    return [[round(number, 3) + 0.0 for number in vector[:8]] for vector in vectors]


def _nodes() -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]


def _texts(nodes: list[NodeWithScore]) -> list[str]:
    return [node.text for node in nodes]
