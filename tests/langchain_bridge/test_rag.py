"""Retrieval: embeddings in a vector store, then a reranker, then an answer with its sources."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

from operator import itemgetter
from pathlib import Path

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_xinference_bridge import XinferenceEmbeddings, XinferenceRerank
from tests.langchain_bridge.conftest import chat_on

DATA = Path(__file__).parents[2] / "examples" / "data"
PROMPT = ChatPromptTemplate.from_template(
    "Answer the question based only on the following context:\n{context}\n\nQuestion: {question}"
)


def documents():
    """One document a paragraph, each saying which file it is of."""
    for path in sorted(DATA.glob("*.md")):
        for number, text in enumerate(filter(None, map(str.strip, path.read_text(encoding="utf-8").split("\n\n")))):
            yield Document(text, metadata={"source": path.name, "paragraph": number})


@pytest.fixture
def retriever(connection):
    store = InMemoryVectorStore(XinferenceEmbeddings(model="minilm", connection=connection))
    store.add_documents(list(documents()))
    # The lab's reranker is real but untrained: it keeps three of four, in an arbitrary order.
    reranker = XinferenceRerank(model="tiny-rerank", connection=connection, top_n=3)
    return ContextualCompressionRetriever(
        base_compressor=reranker, base_retriever=store.as_retriever(search_kwargs={"k": 4})
    )


def rag(retriever, model):
    """Question → the answer, and the documents that it was given, best first."""
    answer = (
        RunnablePassthrough.assign(context=lambda given: "\n\n".join(d.page_content for d in given["documents"]))
        | PROMPT
        | model
        | StrOutputParser()
    )
    return RunnablePassthrough.assign(documents=itemgetter("question") | retriever).assign(answer=answer)


@pytest.mark.server
async def test_a_question_is_answered_with_its_sources(connection, retriever, uid):
    chain = rag(retriever, chat_on(uid, connection))
    question = {"question": "When was the lighthouse of Vardholm built?"}
    for told in (chain.invoke(question), await chain.ainvoke(question)):
        assert told["answer"] == "The lighthouse of Vardholm was built in 1872."
        cited = [document for document in told["documents"] if "1872" in document.page_content]
        assert {document.metadata["source"] for document in cited} == {"lighthouse.md"}
        scores = [document.metadata["relevance_score"] for document in told["documents"]]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)


@pytest.mark.slow
@pytest.mark.server
def test_the_answer_streams_after_its_sources(connection, retriever):
    chain = rag(retriever, chat_on("tiny-chat", connection))
    parts = list(chain.stream({"question": "How long does the ferry take to Vardholm?"}))
    assert "".join(part.get("answer", "") for part in parts) == "The ferry takes 55 minutes."
    assert sum(1 for part in parts if part.get("answer")) > 3
    [given] = [part["documents"] for part in parts if "documents" in part]
    assert "ferry.md" in {document.metadata["source"] for document in given}


@pytest.mark.server
def test_the_documents_in_the_store_stay_as_they_were(connection, retriever):
    retriever.invoke("When was the lighthouse of Vardholm built?")
    found = retriever.base_retriever.invoke("When was the lighthouse of Vardholm built?")
    assert all("relevance_score" not in document.metadata for document in found)
