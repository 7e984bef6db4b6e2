"""Dense and sparse vectors of one model in Qdrant's hybrid search, which accepts these classes directly."""

# mypy: no-check-untyped-defs

from __future__ import annotations

import base64
from array import array
from typing import Any

import orjson
import pytest
from langchain_qdrant import QdrantVectorStore, RetrievalMode
from langchain_qdrant.sparse_embeddings import SparseEmbeddings
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQueryMode
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaQdrant
from qdrant_client import QdrantClient

import langchain_xinference_bridge as lc
import llamaindex_xinference_bridge as li
from tests.support.fault_proxy import FaultServer, fault_server, http

pytestmark = [
    pytest.mark.fault_server,
    # LlamaIndex's vector store creates a payload index, which the in-memory Qdrant does not support.
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
]

TEXTS = ["The lighthouse was built in 1872.", "The soup is made with cod.", "The ferry takes 55 minutes."]
QUERY, NEAREST, FOUND = "cod", TEXTS[0], TEXTS[1]
#: The text that has the word is second by its dense vector, and the only one by its sparse one.
DENSE = {TEXTS[0]: [1.0, 0.0], TEXTS[1]: [1.0, 0.5], TEXTS[2]: [0.0, 1.0], QUERY: [1.0, 0.1]}


def _words(text: str) -> dict[str, float]:
    """Weights by token, as BGE-M3 gives them: the token of a word is its sum of letters."""
    return {str(sum(map(ord, word.strip(".")))): 1.0 for word in text.split()}


def _dense(text: str) -> str:
    return base64.b64encode(array("f", DENSE.get(text, [1.0, 0.0])).tobytes()).decode()


def _answer(seen: Any) -> tuple[bytes, ...] | None:
    if seen.path != "/v1/embeddings":
        return None
    body = orjson.loads(seen.body)
    vectors = [_words(text) if body.get("return_sparse") else _dense(text) for text in body["input"]]
    data = [{"index": place, "embedding": vector} for place, vector in enumerate(vectors)]
    return (http(200, orjson.dumps({"data": data})),)


@pytest.fixture
def server():
    with fault_server() as running:
        running.answer = _answer
        yield running


@pytest.fixture
def qdrant():
    client = QdrantClient(":memory:")
    yield client
    client.close()


def test_hybrid_search_of_langchain_finds_the_word(server: FaultServer):
    sparse = lc.XinferenceSparseEmbeddings(server.url, "m3")
    assert isinstance(sparse, SparseEmbeddings)
    store = QdrantVectorStore.from_texts(
        TEXTS,
        lc.XinferenceEmbeddings(server.url, "m3"),
        sparse_embedding=sparse,
        location=":memory:",
        collection_name="texts",
        retrieval_mode=RetrievalMode.HYBRID,
    )
    try:
        assert store.similarity_search(QUERY, k=3)[0].page_content == FOUND
        store.retrieval_mode = RetrievalMode.DENSE
        assert store.similarity_search(QUERY, k=3)[0].page_content == NEAREST
    finally:
        store.client.close()


def test_hybrid_search_of_llamaindex_finds_the_word(server: FaultServer, qdrant: QdrantClient):
    sparse = li.XinferenceSparseEmbedding("m3", server.url)
    store = LlamaQdrant(
        collection_name="texts",
        client=qdrant,
        enable_hybrid=True,
        sparse_doc_fn=sparse.as_qdrant_function,
        sparse_query_fn=sparse.as_qdrant_function,
    )
    index = VectorStoreIndex(
        [TextNode(text=text) for text in TEXTS],
        storage_context=StorageContext.from_defaults(vector_store=store),
        embed_model=li.XinferenceEmbedding("m3", server.url),
    )
    hybrid = index.as_retriever(
        vector_store_query_mode=VectorStoreQueryMode.HYBRID, similarity_top_k=3, sparse_top_k=3, hybrid_top_k=3
    )
    assert hybrid.retrieve(QUERY)[0].text == FOUND
    assert index.as_retriever(similarity_top_k=3).retrieve(QUERY)[0].text == NEAREST
