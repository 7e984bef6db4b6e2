"""A user's program for the type checker (`make typecheck`, mypy strict); it is read, and never runs."""

from __future__ import annotations

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.bridge.pydantic import BaseModel
from llama_index.core.llms import LLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.prompts import PromptTemplate
from typing_extensions import assert_type

from llamaindex_xinference_bridge import Xinference, XinferenceEmbedding, XinferenceLLM, XinferenceRerank
from xinference_bridge import XinferenceConnection

connection = XinferenceConnection("http://127.0.0.1:9997", api_key="sk-key")


class Person(BaseModel):
    name: str
    age: int


def models() -> tuple[LLM, BaseEmbedding, BaseNodePostprocessor]:
    llm = XinferenceLLM("qwen3", connection=connection, temperature=0, enable_thinking=False, timeout=30)
    Xinference("qwen3", "http://127.0.0.1:9997", 0.5, 256)
    XinferenceLLM("qwen3", temprature=0)  # type: ignore[call-arg]
    XinferenceEmbedding("bge-m3", "http://127.0.0.1:9997", 30.0, embed_batch_size=16, num_workers=2)
    XinferenceEmbedding("bge-m3", embed_batchsize=16)  # type: ignore[call-arg]
    XinferenceRerank(model="bge-reranker-v2-m3", base_url="http://127.0.0.1:9997", top_n=3)
    XinferenceRerank(topn=3)  # type: ignore[call-arg]
    return llm, XinferenceEmbedding("bge-m3", connection=connection), XinferenceRerank(connection=connection)


async def answers(llm: XinferenceLLM) -> None:
    messages = [ChatMessage(role="user", content="Hello")]
    whole: ChatResponse = llm.chat(messages, temperature=0)
    assert_type(whole.message.content, str | None)
    completed: CompletionResponse = await llm.acomplete("Hello", max_tokens=5)
    assert_type(completed.text, str)
    for part in llm.stream_chat(messages):
        _ = part.delta
    async for token in await llm.astream_complete("Hello"):
        _ = token.delta
    person: Person = llm.structured_predict(Person, PromptTemplate("Extract: {text}"), text="Ada is 36.")
    assert_type(person.age, int)
    assert_type(llm.server_url, str)
    assert_type((await llm.aprepare()).context_window, int)
