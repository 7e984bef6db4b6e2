"""XinferenceRerank: the most relevant documents first, with their scores in copies of their metadata."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import pytest
from langchain_core.documents import Document

from langchain_xinference_bridge import XinferenceRerank
from langchain_xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.models.rerank import RerankHandle
from xinference_bridge.protocol.rerank import RerankResult

TEXTS = ["The ferry takes 55 minutes.", "The soup is made with cod.", "The lighthouse was built in 1872.", "Boat Day"]
QUERY = "When was the lighthouse built?"


@pytest.fixture
def reranker(connection):
    return XinferenceRerank(model="tiny-rerank", connection=connection)


@pytest.mark.server
async def test_places_and_scores_best_first(reranker):
    ranked = reranker.rerank(QUERY, TEXTS, top_n=4)
    assert sorted(entry["index"] for entry in ranked) == [0, 1, 2, 3]
    scores = [entry["relevance_score"] for entry in ranked]
    assert scores == sorted(scores, reverse=True)
    assert await reranker.arerank(QUERY, TEXTS, top_n=4) == ranked


@pytest.mark.server
def test_three_documents_are_kept_by_default(reranker, connection):
    assert len(reranker.rerank(QUERY, TEXTS)) == 3
    assert len(reranker.rerank(QUERY, TEXTS, top_n=1)) == 1
    assert len(XinferenceRerank(model="tiny-rerank", connection=connection, top_n=None).rerank(QUERY, TEXTS)) == 4


@pytest.mark.server
def test_a_threshold_leaves_out_what_scores_less(reranker):
    ranked = reranker.rerank(QUERY, TEXTS, top_n=4)
    between = (ranked[1]["relevance_score"] + ranked[2]["relevance_score"]) / 2
    assert reranker.rerank(QUERY, TEXTS, top_n=4, score_threshold=between) == ranked[:2]


@pytest.mark.server
async def test_documents_are_copied_with_their_scores(reranker):
    documents = [
        Document(text, metadata={"nested": {"place": number}}, id=str(number)) for number, text in enumerate(TEXTS)
    ]
    ranked = reranker.rerank(QUERY, documents)
    kept = reranker.compress_documents(documents, QUERY)
    assert [document.id for document in kept] == [str(entry["index"]) for entry in ranked]
    assert [document.metadata["relevance_score"] for document in kept] == [entry["relevance_score"] for entry in ranked]
    assert list(await reranker.acompress_documents(documents, QUERY)) == list(kept)
    kept[0].metadata["nested"]["place"] = "changed"
    assert [document.metadata for document in documents] == [{"nested": {"place": number}} for number in range(4)]


async def test_nothing_in_nothing_out_and_nothing_asked():
    reranker = XinferenceRerank("http://example.org", "m")
    assert reranker.rerank(QUERY, []) == await reranker.arerank(QUERY, []) == []
    assert list(reranker.compress_documents([], QUERY)) == []


@pytest.mark.server
def test_no_top_n_is_all_of_them(reranker):
    assert len(reranker.rerank(QUERY, TEXTS)) == 3
    assert len(reranker.rerank(QUERY, TEXTS, top_n=None)) == 4


def test_a_threshold_of_the_model_may_be_lifted_for_a_call(monkeypatch):
    results = [RerankResult(0, 0.9), RerankResult(1, 0.1)]
    monkeypatch.setattr(RerankHandle, "rerank", lambda *_args, **_keywords: results)
    reranker = XinferenceRerank("http://example.org", "m", score_threshold=0.5)
    assert [entry["index"] for entry in reranker.rerank("q", ["a", "b"])] == [0]
    assert [entry["index"] for entry in reranker.rerank("q", ["a", "b"], score_threshold=None)] == [0, 1]


@pytest.mark.parametrize(
    ("documents", "keywords", "told"),
    [
        ("abc", {}, "not one text"),
        (None, {}, "documents must be a list .*got NoneType"),
        ({"text": "a"}, {}, "documents must be a list .*got dict"),
        (["a", 7], {}, "document 1 must be a string or a Document, got int"),
        (["a"], {"top_n": -1}, "top_n must be .*got -1"),
        (["a"], {"top_n": "3"}, "top_n must be .*got '3'"),
        (["a"], {"top_n": True}, "top_n must be .*got True"),
        (["a"], {"return_document": True}, "return_documents"),
    ],
)
async def test_what_cannot_be_ranked_is_named_before_it_is_sent(documents, keywords, told):
    reranker = XinferenceRerank("http://example.org", "m")
    with pytest.raises(XinferenceConfigurationError, match=told):
        reranker.rerank("q", documents, **keywords)
    with pytest.raises(XinferenceConfigurationError, match=told):
        await reranker.arerank("q", documents, **keywords)


@pytest.mark.parametrize("documents", [["a text"], "a text", [Document("a"), 7]], ids=str)
async def test_what_is_no_document_is_named_before_it_is_sent(documents):
    reranker = XinferenceRerank("http://example.org", "m")
    with pytest.raises(XinferenceConfigurationError, match="Document"):
        reranker.compress_documents(documents, "q")
    with pytest.raises(XinferenceConfigurationError, match="Document"):
        await reranker.acompress_documents(documents, "q")
