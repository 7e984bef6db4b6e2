"""A user's program for the type checker (`make typecheck`, mypy strict); it is read, and never runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import BaseModel
from typing_extensions import assert_type

from langchain_xinference_bridge import (
    ChatXinference,
    Xinference,
    XinferenceConnection,
    XinferenceEmbeddings,
    XinferenceLLM,
    XinferenceRerank,
)
from langchain_xinference_bridge.errors import XinferenceError, XinferenceModelNotFoundError


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def get_weather(city: str) -> str:
    """Get the weather for a city."""
    return city


connection = XinferenceConnection("http://127.0.0.1:9997", api_key="sk-1")
chat = ChatXinference(
    model="qwen3", connection=connection, temperature=0, max_tokens=100, stop=["\n"], timeout=60, stream_usage=True
)
also = ChatXinference("http://127.0.0.1:9997", "qwen3", "sk-1", enable_thinking=False)
ChatXinference(model="qwen3", temprature=0)  # type: ignore[call-arg]
ChatXinference(model="qwen3", temperature="hot")  # type: ignore[arg-type]

model: BaseChatModel = chat
assert_type(chat.invoke("Hello"), AIMessage)
assert_type(chat.stream("Hello"), Iterator[AIMessageChunk])
assert_type(chat.astream("Hello"), AsyncIterator[AIMessageChunk])
assert_type(chat.bind_tools([get_weather], tool_choice="any"), Runnable[LanguageModelInput, AIMessage])
assert_type(chat.with_structured_output(Person, method="json_schema"), Runnable[LanguageModelInput, Any])
assert_type(chat.get_num_tokens("Hello"), int)

chain = ChatPromptTemplate.from_messages([("human", "{question}")]) | chat | StrOutputParser()
assert_type(chain.invoke({"question": "Hello"}), str)

llm = XinferenceLLM(model="qwen3", connection=connection, max_concurrency=4)
assert_type(llm.invoke("Hello"), str)
old = Xinference(server_url="http://127.0.0.1:9997", model_uid="qwen3")

embeddings = XinferenceEmbeddings(model="bge-m3", connection=connection, batch_size=32, truncate=True, dimensions=1024)
assert_type(embeddings.embed_documents(["a"]), list[list[float]])
assert_type(embeddings.embed_stream(line for line in ("a", "b")), Iterator[list[float]])
store = InMemoryVectorStore(embeddings)

reranker = XinferenceRerank(model="bge-reranker", connection=connection, top_n=2, score_threshold=0.5)
assert_type(reranker.rerank("a", ["b"])[0]["relevance_score"], float)
documents = reranker.compress_documents([Document("b")], "a")


async def main() -> None:
    """The awaited twins, and an error that is both ours and LangChain's."""
    try:
        assert_type(await chat.ainvoke("Hello"), AIMessage)
        assert_type(await embeddings.aembed_query("a"), list[float])
    except XinferenceModelNotFoundError as error:
        assert_type(error.model_uid, str | None)
    except XinferenceError as error:
        assert_type(error.message, str)
