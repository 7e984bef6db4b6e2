"""Sparse vectors, image embeddings and image ranking, with the lab's models."""

# mypy: no-check-untyped-defs

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from llama_index.core.schema import ImageNode, NodeWithScore, TextNode

import langchain_xinference_bridge as lc
import llamaindex_xinference_bridge as li
from tests.support.lab import Lab
from xinference_bridge import XinferenceConnection, XinferenceModelTypeError, XinferenceServerError

pytestmark = pytest.mark.server

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
IMAGE_MODELS = ("tiny-clip", "qwen3-vl-embedding")
RERANKERS = ("qwen3-vl-reranker", "jina-reranker-m0")


@pytest.fixture
def connection(lab: Lab) -> XinferenceConnection:
    return XinferenceConnection(server_url=lab.url, api_key=lab.api_key)


def test_sparse_vectors_are_the_same_sync_and_async_and_in_both_bridges(connection):
    texts = ["The soup is made with cod.", "The ferry takes 55 minutes."]
    model = lc.XinferenceSparseEmbeddings(model_uid="bge-m3", connection=connection)
    vectors = model.embed_documents(texts)
    assert all(len(vector.indices) == len(vector.values) > 0 for vector in vectors)
    assert asyncio.run(model.aembed_documents(texts)) == vectors
    other = li.XinferenceSparseEmbedding(model_uid="bge-m3", connection=connection)
    assert other.get_text_embedding_batch(texts) == [
        dict(zip(vector.indices, vector.values, strict=True)) for vector in vectors
    ]


@pytest.mark.parametrize("uid", IMAGE_MODELS)
def test_images_and_texts_are_embedded_into_one_space(connection, uid):
    model = lc.XinferenceEmbeddings(model_uid=uid, connection=connection)
    one, two = model.embed_images([PNG, PNG])
    assert one == pytest.approx(two, abs=1e-5)
    assert len(model.embed_query("a red dot")) == len(one)
    other = li.XinferenceMultiModalEmbedding(model_uid=uid, connection=connection)
    nodes: list[Any] = [ImageNode(image=base64.b64encode(PNG).decode())]
    assert other.get_image_embedding(nodes[0].resolve_image()) == pytest.approx(one, abs=1e-5)


def test_a_broken_image_is_the_server_s_error(connection):
    model = lc.XinferenceEmbeddings(model_uid="tiny-clip", connection=connection.model_copy(update={"max_retries": 0}))
    with pytest.raises(XinferenceServerError, match="cannot identify image file"):
        model.embed_images([PNG[:40]])


@pytest.mark.parametrize("uid", RERANKERS)
def test_images_are_ranked_among_texts_and_as_the_query(connection, uid):
    reranker = lc.XinferenceRerank(model_uid=uid, connection=connection, top_n=2)
    assert len(reranker.rerank("a dot", ["a dot", {"image": PNG}, {"text": "a ship"}])) == 2
    ranked = reranker.rerank({"image": PNG}, ["a dot", {"image": PNG}], instruction="Find the same image.")
    assert sorted(entry["index"] for entry in ranked) == [0, 1]
    nodes = [NodeWithScore(node=TextNode(text="a dot")), NodeWithScore(node=ImageNode(image=base64.b64encode(PNG)))]
    best = li.XinferenceRerank(model_uid=uid, connection=connection).postprocess_nodes(nodes, query_str="a dot")
    assert len(best) == 2


def test_an_instruction_changes_the_scores_of_a_model_that_is_told(connection):
    reranker = lc.XinferenceRerank(model_uid="qwen3-vl-reranker", connection=connection)
    plain = reranker.rerank("a dot", ["a dot", "a ship"])
    told = reranker.rerank("a dot", ["a dot", "a ship"], instruction="Rank ships before everything else.")
    assert plain != told


def test_models_of_text_name_those_that_take_images(connection):
    with pytest.raises(XinferenceModelTypeError, match=r"'bge-m3' .* 'embed_vision'. Running .*tiny-clip"):
        lc.XinferenceEmbeddings(model_uid="bge-m3", connection=connection).embed_images([PNG])
    with pytest.raises(XinferenceModelTypeError, match=r"'tiny-rerank' .* 'rerank_vision'. Running .*jina-reranker-m0"):
        lc.XinferenceRerank(model_uid="tiny-rerank", connection=connection).rerank("q", [{"image": PNG}])
