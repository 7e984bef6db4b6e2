"""The kinds of work in the goals, each done by our package, the floor and the peers on one server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from llama_index.core.llms import ChatMessage
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import SecretStr

from benchmarks import goals
from benchmarks.floors import BareChatModel, BareLLM
from benchmarks.harness import Run, Work
from benchmarks.stub_server import API_KEY
from benchmarks.wire import BATCH, PROMPT, TEXTS, Wire, gathered, spent
from langchain_xinference_bridge import ChatXinference, XinferenceEmbeddings
from llamaindex_xinference_bridge import XinferenceEmbedding, XinferenceLLM
from xinference_bridge import XinferenceConnection

CHUNKS = 3000
OURS = "ours"


class Contenders:
    """Every contender, created once for one stub server. The async ones share one event loop."""

    def __init__(self, url: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.url = url
        self.wire = Wire(url)
        self.connection = XinferenceConnection(server_url=url, api_key=API_KEY)
        uid = f"chat-{CHUNKS}"
        self.chat = ChatXinference(model_uid=uid, connection=self.connection)
        self.bare_chat = BareChatModel(wire=self.wire, uid=uid)
        # Its cached client fails in a second event loop, so it uses the loop that all contenders share.
        self.openai_chat = ChatOpenAI(model=uid, base_url=f"{url}/v1", api_key=SecretStr(API_KEY))
        self.llm = XinferenceLLM(model_uid=uid, connection=self.connection)
        self.bare_llm = BareLLM(wire=self.wire, uid=uid)
        self.like_llm = OpenAILike(model=uid, api_base=f"{url}/v1", api_key=API_KEY, is_chat_model=True)

    def close(self) -> None:
        """Close the sockets and the loop."""
        self.loop.run_until_complete(self.wire.aclose())
        self.loop.run_until_complete(self.connection.aclose())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    def awaited(self, work: Callable[[Any], Coroutine[Any, Any, object]], model: Any) -> Run:
        """Return a function that runs the coroutine of `work` for this model."""
        return lambda: self.loop.run_until_complete(work(model))

    def works(self) -> Iterator[Work]:
        """Yield each kind of work, created on demand."""
        yield self._invoke()
        yield self._stream()
        yield self._ainvoke()
        yield self._astream()
        yield self._embed()
        yield self._array()
        yield self._llama_embed()
        yield self._complete()
        yield self._stream_chat()

    def _invoke(self) -> Work:
        return Work(
            goals.INVOKE,
            {
                OURS: lambda: self.chat.invoke(PROMPT),
                goals.FLOOR: lambda: self.bare_chat.invoke(PROMPT),
                goals.OPENAI: lambda: self.openai_chat.invoke(PROMPT),
            },
            calls=40,
        )

    def _stream(self) -> Work:
        return Work(
            goals.STREAM,
            {
                OURS: lambda: spent(self.chat.stream(PROMPT)),
                goals.FLOOR: lambda: spent(self.bare_chat.stream(PROMPT)),
                goals.OPENAI: lambda: spent(self.openai_chat.stream(PROMPT)),
            },
            calls=1,
        )

    def _ainvoke(self) -> Work:
        return Work(
            goals.AINVOKE,
            {
                name: self.awaited(gathered, model)
                for name, model in (
                    (OURS, self.chat),
                    (goals.FLOOR, self.bare_chat),
                    (goals.OPENAI, self.openai_chat),
                )
            },
        )

    def _astream(self) -> Work:
        return Work(
            goals.ASTREAM,
            {
                name: self.awaited(aspent, model)
                for name, model in (
                    (OURS, self.chat),
                    (goals.FLOOR, self.bare_chat),
                    (goals.OPENAI, self.openai_chat),
                )
            },
            calls=1,
        )

    def _embed(self) -> Work:
        ours = XinferenceEmbeddings(model_uid="embed", connection=self.connection)
        # Its default is 1,000 texts per request. It would download a tokenizer to check the context length.
        theirs = OpenAIEmbeddings(
            model="embed",
            base_url=f"{self.url}/v1",
            api_key=SecretStr(API_KEY),
            check_embedding_ctx_length=False,
        )
        return Work(
            goals.EMBED,
            {
                OURS: lambda: ours.embed_documents(TEXTS),
                goals.FLOOR: lambda: self.wire.embed("embed", TEXTS, BATCH),
                goals.OPENAI: lambda: theirs.embed_documents(TEXTS),
            },
        )

    def _array(self) -> Work:
        ours = XinferenceEmbeddings(model_uid="embed", connection=self.connection)
        return Work(
            goals.ARRAY,
            {
                OURS: lambda: ours.embed_array(TEXTS),
                goals.LISTS: lambda: self.wire.embed_lists("embed", TEXTS, BATCH),
            },
        )

    def _llama_embed(self) -> Work:
        ours = XinferenceEmbedding(model_uid="embed", connection=self.connection)
        # Its default is 10 texts per request. It gets our default, with which it is faster.
        theirs = OpenAILikeEmbedding(
            model_name="embed", api_base=f"{self.url}/v1", api_key=API_KEY, embed_batch_size=BATCH
        )
        return Work(
            goals.LLAMA_EMBED,
            {
                OURS: lambda: ours.get_text_embedding_batch(TEXTS),
                goals.FLOOR: lambda: self.wire.embed("embed", TEXTS, BATCH),
                goals.OPENAI_LIKE: lambda: theirs.get_text_embedding_batch(TEXTS),
            },
        )

    def _complete(self) -> Work:
        return Work(
            goals.COMPLETE,
            {
                OURS: lambda: self.llm.complete(PROMPT),
                goals.FLOOR: lambda: self.bare_llm.complete(PROMPT),
                goals.OPENAI_LIKE: lambda: self.like_llm.complete(PROMPT),
            },
            calls=40,
        )

    def _stream_chat(self) -> Work:
        messages = [ChatMessage(role="user", content=PROMPT)]
        return Work(
            goals.STREAM_CHAT,
            {
                OURS: lambda: spent(self.llm.stream_chat(messages)),
                goals.FLOOR: lambda: spent(self.bare_llm.stream_chat(messages)),
                goals.OPENAI_LIKE: lambda: spent(self.like_llm.stream_chat(messages)),
            },
            calls=1,
        )


async def aspent(model: Any) -> int:
    """Async version of `spent`, for the stream of a LangChain model."""
    count = 0
    async for _ in model.astream(PROMPT):
        count += 1
    return count
