"""The reranker on a real server, as a postprocessor of nodes."""

from __future__ import annotations

import asyncio
import json

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode

from llamaindex_xinference_bridge import XinferenceRerank
from tests.llamaindex_bridge.listening import heard
from tests.support.fault_proxy import fault_server, http
from xinference_bridge import (
    XinferenceConfigurationError,
    XinferenceConnection,
    XinferenceError,
    XinferenceModelTypeError,
)
from xinference_bridge.models.batching import arun_batches_in_order, batches_of, run_batches_in_order
from xinference_bridge.models.rerank import RerankHandle

QUERY = "When was the lighthouse built?"
TEXTS = ["The soup is made with cod.", "The lighthouse was built in 1872.", "The ferry takes 55 minutes.", "Boat Day"]


@pytest.fixture
def nodes():
    return [
        NodeWithScore(node=TextNode(text=text, metadata={"file_name": f"{place}.md"}), score=place / 10)
        for place, text in enumerate(TEXTS)
    ]


@pytest.mark.server
async def test_the_best_nodes_come_first_with_the_reranker_s_scores(reranker, nodes):
    before = [(node.node.model_copy(), node.score) for node in nodes]
    best = reranker.postprocess_nodes(nodes, query_str=QUERY)
    assert len(best) == 2
    assert best[0].score > best[1].score
    assert all(any(found.node is node.node for node in nodes) for found in best)
    assert [(node.node, node.score) for node in nodes] == before  # those that came in are as they were
    awaited = await reranker.apostprocess_nodes(nodes, query_bundle=QueryBundle(QUERY))
    assert [found.node.get_content() for found in awaited] == [found.node.get_content() for found in best]


@pytest.mark.server
def test_top_n_none_orders_all_and_zero_leaves_none(connection, nodes):
    every = XinferenceRerank("tiny-rerank", connection=connection, top_n=None).postprocess_nodes(nodes, query_str=QUERY)
    assert sorted(found.node.get_content(MetadataMode.NONE) for found in every) == sorted(TEXTS)
    assert (
        XinferenceRerank("tiny-rerank", connection=connection, top_n=0).postprocess_nodes(nodes, query_str=QUERY) == []
    )


@pytest.mark.server
def test_the_metadata_mode_decides_what_is_read(connection, nodes, vcr):
    for mode in (MetadataMode.EMBED, MetadataMode.NONE):
        reranker = XinferenceRerank("tiny-rerank", connection=connection, metadata_mode=mode)
        assert len(reranker.postprocess_nodes(nodes, query_str=QUERY)) == 4
    if vcr is not None:
        sent = [json.loads(request.body)["documents"][0] for request in vcr.requests]
        assert sent == [f"file_name: 0.md\n\n{TEXTS[0]}", TEXTS[0]]


@pytest.mark.server
async def test_callbacks_and_events_tell_of_it(connection, nodes):
    handler = LlamaDebugHandler(print_trace_on_end=False)
    reranker = XinferenceRerank(
        "tiny-rerank", connection=connection, top_n=1, callback_manager=CallbackManager([handler])
    )
    with heard() as events:
        best = reranker.postprocess_nodes(nodes, query_str=QUERY)
        await reranker.apostprocess_nodes(nodes, query_str=QUERY)
    assert [type(event).__name__ for event in events] == ["ReRankStartEvent", "ReRankEndEvent"] * 2
    assert (events[0].model_name, events[0].top_n) == ("tiny-rerank", 1)
    assert events[1].nodes == best
    ((start, end), _) = handler.get_event_pairs(CBEventType.RERANKING)
    assert start.payload is not None
    assert start.payload["query_str"] == QUERY
    assert end.payload is not None
    assert end.payload["nodes"] == best


def test_no_nodes_need_no_request():
    assert XinferenceRerank("m", "http://127.0.0.1:9").postprocess_nodes([], query_str=QUERY) == []


def test_a_query_is_needed(nodes):
    with pytest.raises(XinferenceConfigurationError, match="requires a query"):
        XinferenceRerank("m", "http://127.0.0.1:9").postprocess_nodes(nodes)


@pytest.mark.parametrize("wrong", [-1, "2", 2.5, "x", [], True])
def test_a_wrong_top_n_is_named_at_construction_by_assignment_and_in_model_kwargs(nodes, wrong):
    words = "XinferenceRerank: top_n must be an integer of at least 0, or None"
    with pytest.raises(XinferenceConfigurationError, match=words):
        XinferenceRerank("m", "http://127.0.0.1:9", top_n=wrong)
    reranker = XinferenceRerank("m", "http://127.0.0.1:9", model_kwargs={"top_n": wrong})
    with pytest.raises(XinferenceConfigurationError, match=words):
        reranker.postprocess_nodes(nodes, query_str=QUERY)
    with pytest.raises(XinferenceConfigurationError, match=words):
        reranker.top_n = wrong
    assert reranker.top_n == 5


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"nodes": None}, "nodes must be a list of NodeWithScore, got NoneType"),
        ({"nodes": "text"}, "nodes must be a list of NodeWithScore, got str"),
        ({"nodes": [TextNode(text="a")]}, "node 0 of those to rerank must be a NodeWithScore, got TextNode"),
        ({"query_str": 5}, "query_str must be a string, got int"),
        ({"query_str": None, "query_bundle": QUERY}, "query_bundle must be a QueryBundle, got str"),
    ],
)
async def test_what_is_no_node_and_no_query_is_named(nodes, asked, words):
    reranker = XinferenceRerank("m", "http://127.0.0.1:9")
    asked = {"nodes": nodes, "query_str": QUERY, **asked}
    with pytest.raises(XinferenceConfigurationError, match=words):
        reranker.postprocess_nodes(**asked)
    with pytest.raises(XinferenceConfigurationError, match=words):
        await reranker.apostprocess_nodes(**asked)


def _scored(model, batches):
    return list(run_batches_in_order(lambda batch: model.rerank(QUERY, batch.texts, {}), batches, done="scored"))


def _ascored(model, batches):
    async def scored():
        asked = arun_batches_in_order(lambda batch: model.arerank(QUERY, batch.texts, {}), batches, 1, done="scored")
        return [answer async for answer in asked]

    return asyncio.run(scored())


@pytest.mark.fault_server
@pytest.mark.parametrize("score", [_scored, _ascored])
@pytest.mark.parametrize(
    "answer",
    [http(500, b'{"detail": "out of memory"}'), http(400, b'{"detail": "bad"}'), http(200, b"{}"), http(200, b"<p>")],
    ids=["500", "400", "other", "page"],
)
@pytest.mark.parametrize("count", [3, 5], ids=["one batch", "two batches"])
def test_what_a_failure_leaves_is_not_scored(score, answer, count):
    with fault_server() as server:
        server.on("/v1/rerank", answer)
        model = RerankHandle(XinferenceConnection(server.url, max_retries=0), "m")
        batches = batches_of([f"text {number}" for number in range(count)], 3)
        with pytest.raises(XinferenceError, match=r"\(inputs . to . and .* were not scored\)$"):
            score(model, batches)


@pytest.mark.server
def test_another_kind_of_model_is_named(connection, nodes):
    with pytest.raises(XinferenceModelTypeError, match=r"'minilm' .* Running rerank models: tiny-rerank"):
        XinferenceRerank("minilm", connection=connection).postprocess_nodes(nodes, query_str=QUERY)
