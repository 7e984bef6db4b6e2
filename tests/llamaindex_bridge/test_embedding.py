"""Embeddings on a real server: many texts per request, concurrent requests, order, events and caching."""

from __future__ import annotations

import json
import math
import threading

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.schema import TextNode
from llama_index.core.storage.kvstore import SimpleKVStore

from llamaindex_xinference_bridge import XinferenceEmbedding
from tests.llamaindex_bridge.listening import CountingLimiter, heard
from xinference_bridge import XinferenceModelTypeError, XinferenceProtocolError

TEXTS = ["The lighthouse.", "Fish soup.", "The ferry takes 55 minutes.", "Grüße, 世界 🚀", "cannery", "Boat Day", ""]


def alike(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True)) > 0.999  # the model's vectors have length 1


@pytest.mark.server
def test_one_vector_a_text_in_input_order(embed_model):
    vectors = embed_model.get_text_embedding_batch(TEXTS)
    assert [len(vector) for vector in vectors] == [384] * len(TEXTS)
    assert all(math.isclose(sum(x * x for x in vector), 1, abs_tol=1e-3) for vector in vectors)
    assert alike(embed_model.get_text_embedding(TEXTS[1]), vectors[1])
    assert alike(embed_model.get_query_embedding(TEXTS[2]), vectors[2])
    assert embed_model.get_text_embedding_batch([]) == []


@pytest.mark.server
async def test_awaited_vectors_are_the_called_ones(embed_model):
    vectors = await embed_model.aget_text_embedding_batch(TEXTS)
    assert [len(vector) for vector in vectors] == [384] * len(TEXTS)
    assert alike(await embed_model.aget_text_embedding(TEXTS[1]), vectors[1])
    assert alike(await embed_model.aget_query_embedding(TEXTS[2]), vectors[2])


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("workers", [1, 3])
async def test_batches_of_the_stated_size_keep_the_order_however_many_are_under_way(connection, workers, vcr):
    embed_model = XinferenceEmbedding("minilm", connection=connection, embed_batch_size=2, num_workers=workers)
    one_by_one = [embed_model.get_text_embedding(text) for text in TEXTS]
    batched = embed_model.get_text_embedding_batch(TEXTS)
    awaited = await embed_model.aget_text_embedding_batch(TEXTS)
    assert all(map(alike, batched, one_by_one))
    assert all(map(alike, awaited, one_by_one))
    if vcr is not None:
        sizes = [len(json.loads(request.body)["input"]) for request in vcr.requests]
        assert sorted(sizes[len(TEXTS) :]) == [1, 1, 2, 2, 2, 2, 2, 2]


@pytest.mark.server
async def test_progress_is_shown_where_it_is_asked_for(connection, capsys):
    embed_model = XinferenceEmbedding("minilm", connection=connection, embed_batch_size=3)
    embed_model.get_text_embedding_batch(TEXTS, show_progress=True)
    assert "Generating embeddings: 100%" in capsys.readouterr().err
    await embed_model.aget_text_embedding_batch(TEXTS, show_progress=True)
    assert f"{len(TEXTS)}/{len(TEXTS)}" in capsys.readouterr().err


@pytest.mark.server
async def test_each_batch_is_told_to_callbacks_and_events(connection):
    handler = LlamaDebugHandler(print_trace_on_end=False)
    embed_model = XinferenceEmbedding(
        "minilm", connection=connection, embed_batch_size=4, callback_manager=CallbackManager([handler])
    )
    with heard() as events:
        embed_model.get_text_embedding_batch(TEXTS)
        await embed_model.aget_text_embedding_batch(TEXTS)
    names = [type(event).__name__ for event in events]
    assert names.count("EmbeddingStartEvent") == names.count("EmbeddingEndEvent") == 4
    assert [event.chunks for event in events if hasattr(event, "chunks")] == [TEXTS[:4], TEXTS[4:]] * 2
    pairs = handler.get_event_pairs(CBEventType.EMBEDDING)
    assert len(pairs) == 4
    assert pairs[0][1].payload is not None
    assert pairs[0][1].payload["chunks"] == TEXTS[:4]


@pytest.mark.server
async def test_the_cache_answers_for_what_was_asked_before(connection, vcr):
    embed_model = XinferenceEmbedding(
        "minilm", connection=connection, embed_batch_size=2, embeddings_cache=SimpleKVStore()
    )
    first = embed_model.get_text_embedding_batch(TEXTS[:4])
    asked = vcr.play_count if vcr is not None else None
    assert embed_model.get_text_embedding_batch(TEXTS[:4]) == first
    assert await embed_model.aget_text_embedding_batch(TEXTS[:4]) == first
    assert embed_model.get_text_embedding(TEXTS[0]) == first[0]
    if vcr is not None:
        assert vcr.play_count == asked
    assert embed_model.get_text_embedding_batch([TEXTS[0], "new"])[0] == first[0]


@pytest.mark.server
async def test_the_rate_limiter_is_asked_before_each_request(connection):
    limiter = CountingLimiter()
    embed_model = XinferenceEmbedding("minilm", connection=connection, embed_batch_size=2, rate_limiter=limiter)
    embed_model.get_text_embedding_batch(TEXTS)
    assert limiter.taken == 4
    assert limiter.threads == {threading.get_ident()}
    await embed_model.aget_text_embedding_batch(TEXTS)
    assert limiter.taken == 8


@pytest.mark.server
async def test_the_rate_limiter_is_asked_before_a_single_text_or_query(connection):
    limiter = CountingLimiter()
    embed_model = XinferenceEmbedding("minilm", connection=connection, rate_limiter=limiter)
    embed_model.get_text_embedding("fish")
    embed_model.get_query_embedding("fish")
    await embed_model.aget_text_embedding("fish")
    await embed_model.aget_query_embedding("fish")
    assert limiter.taken == 4


@pytest.mark.server
def test_an_instruction_is_put_before_queries_or_texts(connection, embed_model):
    instructed = XinferenceEmbedding(
        "minilm", connection=connection, query_instruction="query:", text_instruction="passage:"
    )
    assert alike(instructed.get_query_embedding("fish"), embed_model.get_text_embedding("query: fish"))
    assert alike(instructed.get_text_embedding_batch(["fish"])[0], embed_model.get_text_embedding("passage: fish"))


@pytest.mark.server
def test_dimensions_that_the_server_ignores_are_noticed(connection):
    assert len(XinferenceEmbedding("minilm", connection=connection, dimensions=384).get_text_embedding("a")) == 384
    with pytest.raises(XinferenceProtocolError, match="vectors of 384 dimensions instead of 128"):
        XinferenceEmbedding("minilm", connection=connection, dimensions=128).get_text_embedding("a")


@pytest.mark.server
def test_nodes_get_their_vectors(embed_model):
    nodes = embed_model([TextNode(text="a", metadata={"file_name": "a.md"}), TextNode(text="b")])
    assert [len(node.embedding) for node in nodes] == [384, 384]


@pytest.mark.server
async def test_a_failure_names_the_inputs_that_were_not_embedded(connection):
    embed_model = XinferenceEmbedding("tiny-rerank", connection=connection, embed_batch_size=2)
    with pytest.raises(XinferenceModelTypeError, match=r"'tiny-rerank' .*inputs 0 to 1 and those after them"):
        embed_model.get_text_embedding_batch(TEXTS[:2])
    with pytest.raises(XinferenceModelTypeError, match=r"inputs 0 to 1 and those after them"):
        await embed_model.aget_text_embedding_batch(TEXTS[:2])
