"""Code of langchain-xinference and langchain_community runs with its import line changed, as their docs call it."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import pytest
from langchain_core.documents import Document
from langchain_core.prompts import PromptTemplate

from langchain_xinference_bridge import (
    ChatXinference,
    Xinference,
    XinferenceEmbeddings,
    XinferenceLLM,
    XinferenceRerank,
)


def test_the_constructors_of_both_packages():
    for kind in (ChatXinference, Xinference):
        model = kind(server_url="http://0.0.0.0:9997", model_uid="m", api_key="sk-1", temperature=0.5, max_tokens=9)
        assert (model.model_uid, model.temperature, model.max_tokens) == ("m", 0.5, 9)
        assert kind("http://0.0.0.0:9997", "m", "sk-1").server_url == "http://127.0.0.1:9997"
    for kind in (XinferenceEmbeddings, XinferenceRerank):
        assert kind(server_url="http://0.0.0.0:9997", model_uid="m", api_key="sk-1").model_uid == "m"
    assert XinferenceRerank("http://example.org", "m").top_n == 3
    assert issubclass(Xinference, XinferenceLLM)


def test_model_kwargs_of_the_older_packages_arrive_in_the_request():
    with pytest.warns(UserWarning, match="does not know 'n_ctx'"):
        llm = Xinference("http://example.org", "m", n_ctx=100)
    assert llm._prepared(None, {"generate_config": {"max_tokens": 3, "stream": True}})[1] == {
        "n_ctx": 100,
        "max_tokens": 3,
    }


@pytest.mark.server
async def test_the_chat_model_of_langchain_xinference(lab):
    llm = ChatXinference(server_url=lab.url, model_uid="tiny-chat", api_key=lab.api_key)
    prompt = PromptTemplate(
        input_variables=["country"], template="Q: where can we visit in the capital of {country}? A:"
    )
    chain = prompt | llm.bind(generate_config={"max_tokens": 60, "temperature": 0})
    answer = "In Paris you can visit the Eiffel Tower, the Louvre and Notre-Dame."
    assert chain.invoke({"country": "France"}).content == answer
    assert (await chain.ainvoke({"country": "France"})).content == answer
    assert "".join(chunk.content for chunk in chain.stream({"country": "France"})) == answer


@pytest.mark.server
async def test_the_embeddings_and_the_reranker_of_langchain_xinference(lab):
    embeddings = XinferenceEmbeddings(lab.url, "minilm", lab.api_key)
    assert len((await embeddings.aembed_documents(["a", "b"]))[1]) == 384
    reranker = XinferenceRerank(server_url=lab.url, model_uid="tiny-rerank", api_key=lab.api_key)
    kept = reranker.compress_documents([Document("a"), Document("b")], "a")
    assert {"relevance_score"} == set(kept[0].metadata)
