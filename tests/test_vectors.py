"""Vectors and rankings of every kind through both bridges, sync and async, with a server that echoes its requests."""

# mypy: no-check-untyped-defs

from __future__ import annotations

import asyncio
import base64
import io
from array import array
from io import BytesIO
from typing import Any

import orjson
import pytest
from langchain_core.documents import Document
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.indices import MultiModalVectorStoreIndex
from llama_index.core.indices.multi_modal.retriever import MultiModalVectorIndexRetriever
from llama_index.core.schema import ImageNode, NodeWithScore, TextNode
from llama_index.core.storage.kvstore import SimpleKVStore

import langchain_xinference_bridge as lc
import llamaindex_xinference_bridge as li
from tests.llamaindex_bridge.listening import heard
from tests.support.fault_proxy import FaultServer, fault_server, http
from xinference_bridge.errors import (
    XinferenceConfigurationError,
    XinferenceError,
    XinferenceModelTypeError,
    XinferenceProtocolError,
)

pytestmark = pytest.mark.fault_server

MODES = ("sync", "async")
BRIDGES = ("langchain", "llamaindex")
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
JPEG = b"\xff\xd8\xff" + bytes(9)
ABILITIES = {"texts": ["embed"], "pictures": ["embed", "embed_vision"], "ranks": ["rerank"], "sees": ["rerank_vision"]}


class Server:
    """A server whose vectors tell what they were made of: the length of the input, 1 for an image, and its place."""

    def __init__(self, server: FaultServer) -> None:
        self.server = server
        self.url = server.url
        self.dimensions = 3
        self.dense = True
        server.answer = self._answer

    def bodies(self, path: str) -> list[Any]:
        return [orjson.loads(seen.body) for seen in self.server.seen(path)]

    def _answer(self, seen):
        kind = seen.path.rpartition("/")[2]
        if seen.path == "/v1/embeddings":
            body = orjson.loads(seen.body)
            data = [{"index": i, "embedding": self._vector(x, body)} for i, x in enumerate(body["input"])]
            return (http(200, orjson.dumps({"data": data})),)
        if seen.path == "/v1/rerank":
            count = len(orjson.loads(seen.body)["documents"])
            results = [{"index": i, "relevance_score": i / 10} for i in range(count)]
            return (http(200, orjson.dumps({"results": results})),)
        if kind == "models":
            return (http(200, orjson.dumps({"data": list(map(self._described, ABILITIES))})),)
        return (http(200, orjson.dumps(self._described(kind))),) if kind in ABILITIES else None

    def _described(self, kind):
        model_type = "rerank" if "rerank" in "".join(ABILITIES[kind]) else "embedding"
        return {"id": kind, "model_name": kind, "model_type": model_type, "model_ability": ABILITIES[kind]}

    def _vector(self, item, body):
        if body.get("return_sparse") and self.dense:
            return {"7": 0.5, "101": float(len(item))}
        numbers = [float(len(item)), 0.0] if isinstance(item, str) else [0.0, 1.0]
        numbers += [1.0] * (self.dimensions - 2)
        return base64.b64encode(array("f", numbers).tobytes()).decode()


@pytest.fixture
def server():
    with fault_server() as running:
        yield Server(running)


def called(mode: str, model: Any, name: str, *args: Any, **keywords: Any) -> Any:
    """The method of this name, or its async version run to its end."""
    if mode == "sync":
        return getattr(model, name)(*args, **keywords)
    return asyncio.run(getattr(model, f"a{name}")(*args, **keywords))


def embedded(bridge: str, mode: str, server: Server, texts: Any, **settings: Any) -> Any:
    if bridge == "langchain":
        model: Any = lc.XinferenceEmbeddings(server.url, "texts", max_retries=0, batch_size=4, **settings)
        return called(mode, model, "embed_documents", texts)
    model = li.XinferenceEmbedding("texts", server.url, max_retries=0, embed_batch_size=4, **settings)
    return called(mode, model, "get_text_embedding_batch", texts)


both = [pytest.mark.parametrize("mode", MODES), pytest.mark.parametrize("bridge", BRIDGES)]


def in_both(test):
    for mark in both:
        test = mark(test)
    return test


# Texts


@in_both
def test_a_generator_of_texts_is_embedded_in_order(bridge, mode, server):
    vectors = embedded(bridge, mode, server, ("x" * n for n in range(1, 11)))
    assert [vector[0] for vector in vectors] == list(range(1, 11))


EMBEDDERS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "langchain": (lc.XinferenceEmbeddings, "embed_documents", {"model_uid": "texts", "batch_size": 4}),
    "langchain array": (lc.XinferenceEmbeddings, "embed_array", {"model_uid": "texts", "batch_size": 4}),
    "langchain sparse": (lc.XinferenceSparseEmbeddings, "embed_documents", {"model_uid": "sparse", "batch_size": 4}),
    "llamaindex": (li.XinferenceEmbedding, "get_text_embedding_batch", {"model_uid": "texts", "embed_batch_size": 4}),
    "llamaindex array": (li.XinferenceEmbedding, "embed_array", {"model_uid": "texts", "embed_batch_size": 4}),
    "llamaindex sparse": (
        li.XinferenceSparseEmbedding,
        "get_text_embedding_batch",
        {"model_uid": "sparse", "embed_batch_size": 4},
    ),
}


def by_every_embedder(test):
    for mark in (pytest.mark.parametrize("mode", MODES), pytest.mark.parametrize("embedder", EMBEDDERS)):
        test = mark(test)
    return test


def embedded_by(embedder: str, mode: str, server: Any, texts: Any) -> Any:
    kind, verb, settings = EMBEDDERS[embedder]
    return called(mode, kind(server_url=server.url, max_retries=0, **settings), verb, texts)


@by_every_embedder
@pytest.mark.parametrize("wrong", [None, 7, b"text", ["text"]])
def test_what_is_no_text_is_named_before_anything_is_sent(embedder, mode, server, wrong):
    with pytest.raises(XinferenceConfigurationError, match=rf"text 40 .* got {type(wrong).__name__}"):
        embedded_by(embedder, mode, server, ["a"] * 40 + [wrong])
    assert not server.bodies("/v1/embeddings")


@by_every_embedder
@pytest.mark.parametrize("wrong", ["a text", None, 7, b"text", {"text": "a"}])
def test_what_is_no_list_of_texts_is_refused(embedder, mode, server, wrong):
    with pytest.raises(XinferenceConfigurationError, match=r"texts must be a list of strings, (not one text|got)"):
        embedded_by(embedder, mode, server, wrong)
    assert not server.bodies("/v1/embeddings")


@by_every_embedder
def test_a_generator_is_taken_by_every_embedder(embedder, mode, server):
    assert len(embedded_by(embedder, mode, server, (text for text in "abcdefghij"))) == 10
    assert [len(body["input"]) for body in server.bodies("/v1/embeddings")].count(4) == 2


@by_every_embedder
def test_an_error_names_the_input_by_its_place_in_the_call(embedder, mode, server):
    with pytest.raises(XinferenceError, match=r"input\[6\]"):
        embedded_by(embedder, mode, server, ["a", "b", "c", "d", "e", "f", "\ud800", "h"])


@in_both
def test_vectors_of_another_length_in_a_later_batch_are_refused(bridge, mode, server):
    def grow(item, body, plain=server._vector):
        server.dimensions = 4 if item == "e" else 3
        return plain(item, body)

    server._vector = grow
    with pytest.raises(XinferenceProtocolError, match="3 dimensions, but of 4 from input 4 on"):
        embedded(bridge, mode, server, ["a", "b", "c", "d", "e"])


@in_both
def test_sparse_answers_are_no_dense_vectors(bridge, mode, server):
    with pytest.raises(XinferenceProtocolError, match="a dense vector for input 0: it is sparse"):
        embedded(bridge, mode, server, ["a"], model_kwargs={"return_sparse": True})


# Arrays


@in_both
def test_an_array_has_the_numbers_of_the_lists(bridge, mode, server):
    make = {
        "langchain": lambda: lc.XinferenceEmbeddings(server.url, "texts", batch_size=4),
        "llamaindex": lambda: li.XinferenceEmbedding("texts", server.url, embed_batch_size=4),
    }
    texts = ["x" * n for n in range(1, 11)]
    vectors = called(mode, make[bridge](), "embed_array", texts)
    assert (vectors.shape, str(vectors.dtype)) == ((10, 3), "float32")
    assert vectors.tolist() == embedded(bridge, mode, server, texts)
    assert called(mode, make[bridge](), "embed_array", []).shape == (0, 0)


@in_both
@pytest.mark.parametrize("as_array", [False, True])
def test_a_corpus_is_streamed_in_order(bridge, mode, server, as_array):
    if bridge == "langchain":
        model: Any = lc.XinferenceEmbeddings(server.url, "texts", batch_size=4)
    else:
        model = li.XinferenceEmbedding("texts", server.url, embed_batch_size=4)
    texts = ("x" * n for n in range(1, 11))

    async def all_of(stream):
        return [piece async for piece in stream]

    if mode == "sync":
        pieces = list(model.embed_stream(texts, as_array=as_array))
    else:
        pieces = asyncio.run(all_of(model.aembed_stream(texts, as_array=as_array)))
    rows = [row for piece in pieces for row in piece.tolist()] if as_array else pieces
    assert [row[0] for row in rows] == list(range(1, 11))


# Sparse


@pytest.mark.parametrize("mode", MODES)
def test_sparse_vectors_have_indices_and_values(mode, server):
    model = lc.XinferenceSparseEmbeddings(server.url, "texts")
    one, two = called(mode, model, "embed_documents", (text for text in ("a", "bb")))
    assert (one.indices, one.values, two.values) == ([7, 101], [0.5, 1.0], [0.5, 2.0])
    assert called(mode, model, "embed_query", "bb") == two


@pytest.mark.parametrize("mode", MODES)
def test_sparse_embeddings_of_llamaindex_are_weights_by_token(mode, server):
    model = li.XinferenceSparseEmbedding("texts", server.url)
    assert called(mode, model, "get_query_embedding", "bb") == {7: 0.5, 101: 2.0}
    assert called(mode, model, "get_text_embedding_batch", ["a", "bb"]) == [{7: 0.5, 101: 1.0}, {7: 0.5, 101: 2.0}]
    assert model.as_qdrant_function(["a"]) == ([[7, 101]], [[0.5, 1.0]])


@pytest.mark.parametrize("mode", MODES)
def test_dense_answers_are_no_sparse_vectors(mode, server):
    server.dense = False
    with pytest.raises(XinferenceProtocolError, match="a sparse vector for input 0: it is dense"):
        called(mode, lc.XinferenceSparseEmbeddings(server.url, "texts"), "embed_documents", ["a"])


# Images


@pytest.mark.parametrize("mode", MODES)
def test_images_of_every_form_are_sent_as_data_urls_in_order(mode, server, tmp_path):
    (tmp_path / "one.png").write_bytes(PNG)
    forms = [tmp_path / "one.png", str(tmp_path / "one.png"), (tmp_path / "one.png").as_uri(), PNG, PNG_URL]
    forms += [PNG_URL.replace("image/png", ""), JPEG, "https://example.org/cat.png", PNG]
    vectors = called(mode, lc.XinferenceEmbeddings(server.url, "pictures"), "embed_images", iter(forms))
    assert [vector[1] for vector in vectors] == [1.0] * 9
    sent = [item["image"] for body in server.bodies("/v1/embeddings") for item in body["input"]]
    assert sent[:6] == [PNG_URL] * 6
    assert (sent[6][:23], sent[7]) == ("data:image/jpeg;base64,", "https://example.org/cat.png")


@in_both
def test_an_image_is_named_by_its_place_in_the_call_whatever_the_batches(bridge, mode, server):
    images = (PNG if bridge == "langchain" else BytesIO(PNG) for _ in range(10))
    models: dict[str, tuple[Any, str]] = {
        "langchain": (lc.XinferenceEmbeddings(server.url, "pictures"), "embed_images"),
        "llamaindex": (li.XinferenceMultiModalEmbedding("pictures", server.url), "get_image_embedding_batch"),
    }
    model, verb = models[bridge]
    assert len(called(mode, model, verb, images)) == 10
    assert [len(body["input"]) for body in server.bodies("/v1/embeddings")] == [8, 2]
    with pytest.raises(XinferenceConfigurationError, match=r"image 9 cannot be read from '/nowhere.png'"):
        called(mode, model, verb, [PNG_URL] * 9 + ["/nowhere.png"])
    with pytest.raises(XinferenceConfigurationError, match="images must be a list of paths, URLs or bytes"):
        called(mode, model, verb, None)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("verb", ["get_image_embedding", "get_image_embedding_batch"])
def test_an_image_embedded_by_llamaindex_is_one_event_of_its_callbacks(mode, server, verb):
    handler = LlamaDebugHandler(print_trace_on_end=False)
    model = li.XinferenceMultiModalEmbedding("pictures", server.url, callback_manager=CallbackManager([handler]))
    called(mode, model, verb, BytesIO(PNG) if verb == "get_image_embedding" else [BytesIO(PNG)])
    assert [len(pair) for pair in handler.get_event_pairs(CBEventType.EMBEDDING)] == [2]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"", "image 1 is empty"),
        (b"hello", "image 1 must be an image"),
        ("/nowhere/cat.png", "image 1 cannot be read from '/nowhere/cat.png'"),
        ("data:image/png,abc", "image 1 must be a data URL in base64"),
        (7, "image 1 must be a path, bytes or a data URL, got int"),
    ],
)
def test_what_is_no_image_is_named_before_it_is_sent(mode, server, image, words):
    with pytest.raises(XinferenceConfigurationError, match=words):
        called(mode, lc.XinferenceEmbeddings(server.url, "pictures"), "embed_images", [PNG, image])
    assert not server.bodies("/v1/embeddings")


@in_both
def test_a_model_of_text_refuses_images_by_name(bridge, mode, server):
    ways: dict[str, tuple[Any, ...]] = {
        "langchain": (lc.XinferenceEmbeddings(server.url, "texts"), "embed_images", [PNG]),
        "llamaindex": (li.XinferenceMultiModalEmbedding("texts", server.url), "get_image_embedding", io.BytesIO(PNG)),
    }
    with pytest.raises(XinferenceModelTypeError, match=r"'texts' .* 'embed_vision'. Running .*: pictures"):
        called(mode, *ways[bridge])
    assert not server.bodies("/v1/embeddings")


def test_an_index_of_texts_and_images_takes_the_model_for_both(server):
    model = li.XinferenceMultiModalEmbedding("pictures", server.url)
    # As SimpleDirectoryReader makes them: llama-index-core skips a node with neither text nor metadata.
    image = ImageNode(image=base64.b64encode(PNG).decode(), id_="cat", metadata={"file_name": "cat.png"})
    index = MultiModalVectorStoreIndex(
        [image, TextNode(text="a lighthouse")], embed_model=model, image_embed_model=model
    )
    retriever = index.as_retriever(similarity_top_k=1, image_similarity_top_k=1)
    assert isinstance(retriever, MultiModalVectorIndexRetriever)
    assert [found.node.node_id for found in retriever.text_to_image_retrieve("a cat")] == ["cat"]


# Reranking


def node_of(image: str | None, text: str = "") -> NodeWithScore:
    return NodeWithScore(node=ImageNode(image=image, text=text))


@in_both
def test_top_n_holds_whatever_the_server_sends(bridge, mode, server):
    if bridge == "langchain":
        best = called(mode, lc.XinferenceRerank(server.url, "ranks", top_n=2), "rerank", "q", ["a", "b", "c", "d"])
    else:
        nodes = [NodeWithScore(node=TextNode(text=text)) for text in "abcd"]
        model = li.XinferenceRerank("ranks", server.url, 2)
        best = called(mode, model, "postprocess_nodes", nodes, query_str="q")
    assert len(best) == 2


@in_both
def test_an_instruction_goes_where_the_server_reads_it(bridge, mode, server):
    if bridge == "langchain":
        model: Any = lc.XinferenceRerank(server.url, "ranks", instruction="Find the year.", model_kwargs={})
        called(mode, model, "rerank", "q", ["a"])
        called(mode, model, "rerank", "q", ["a"], instruction="Find the place.", kwargs='{"fps": 1}')
        assert server.bodies("/v1/rerank")[1]["kwargs"] == '{"fps": 1, "instruction": "Find the place."}'
    else:
        model = li.XinferenceRerank("ranks", server.url, instruction="Find the year.")
        called(mode, model, "postprocess_nodes", [NodeWithScore(node=TextNode(text="a"))], query_str="q")
    first = server.bodies("/v1/rerank")[0]
    assert (first["kwargs"], "instruction" in first) == ('{"instruction": "Find the year."}', False)


@in_both
def test_images_are_ranked_among_texts(bridge, mode, server):
    if bridge == "langchain":
        documents = ["a", {"image": PNG}, Document("b"), {"text": "c"}]
        best = called(mode, lc.XinferenceRerank(server.url, "sees"), "rerank", {"image": PNG}, documents)
        expected: list[Any] = ["a", {"image": PNG_URL}, "b", {"text": "c"}]
        assert server.bodies("/v1/rerank")[0]["query"] == {"image": PNG_URL}
    else:
        text = NodeWithScore(node=TextNode(text="a"))
        nodes = [text, node_of(base64.b64encode(PNG).decode(), "a cat"), node_of(base64.b64encode(PNG).decode())]
        best = called(mode, li.XinferenceRerank("sees", server.url), "postprocess_nodes", nodes, query_str="q")
        expected = ["a", {"image": PNG_URL}, {"image": PNG_URL}]
    assert len(best) == 3
    assert server.bodies("/v1/rerank")[0]["documents"] == expected


@in_both
def test_a_model_that_ranks_text_refuses_images_by_name(bridge, mode, server):
    nodes = [node_of(base64.b64encode(PNG).decode())]
    ways: dict[str, tuple[Any, ...]] = {
        "langchain": (lc.XinferenceRerank(server.url, "ranks"), "rerank", "q", [{"image": PNG}]),
        "llamaindex": (li.XinferenceRerank("ranks", server.url), "postprocess_nodes", nodes, None, "q"),
    }
    with pytest.raises(XinferenceModelTypeError, match=r"'ranks' .* 'rerank_vision'. Running .*: sees"):
        called(mode, *ways[bridge])
    assert not server.bodies("/v1/rerank")


@pytest.mark.parametrize("mode", MODES)
def test_an_image_with_a_caption_is_ranked_by_it_where_the_model_ranks_text(mode, server):
    nodes = [node_of(base64.b64encode(PNG).decode(), "a cat")]
    called(mode, li.XinferenceRerank("ranks", server.url), "postprocess_nodes", nodes, query_str="q")
    assert server.bodies("/v1/rerank")[0]["documents"] == ["a cat"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("node", "words"),
    [
        (node_of(None), "has neither an image nor text"),
        (node_of("?"), "is not valid base64"),
        (node_of(base64.b64encode(b"hello").decode()), "the image of node 0 must be an image"),
    ],
)
def test_an_image_node_is_never_ranked_as_empty_text(mode, server, node, words):
    with pytest.raises(XinferenceConfigurationError, match=words):
        called(mode, li.XinferenceRerank("sees", server.url), "postprocess_nodes", [node], query_str="q")
    assert not server.bodies("/v1/rerank")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("query", "documents", "words"),
    [
        ("q", [{"picture": PNG}], r"document 0 must be .* got the keys \['picture'\]"),
        ("q", [{}], "document 0 must be"),
        ("q", [{"text": 7}], "the text of document 0 must be a string, got int"),
        ("q", {"image": PNG}, "documents must be a list .*got dict"),
        (7, ["a"], "the query must be a string or an object, got int"),
        ({"image": b"x"}, ["a"], "the image of the query must be an image"),
    ],
)
def test_what_cannot_be_ranked_is_named(mode, server, query, documents, words):
    with pytest.raises(XinferenceConfigurationError, match=words):
        called(mode, lc.XinferenceRerank(server.url, "sees"), "rerank", query, documents)
    assert not server.bodies("/v1/rerank")


# LlamaIndex's events and cache


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fails", [False, True])
def test_every_report_that_begins_ends(mode, server, fails):
    handler = LlamaDebugHandler(print_trace_on_end=False)
    model = li.XinferenceEmbedding(
        "texts", server.url, embed_batch_size=2, max_retries=0, callback_manager=CallbackManager([handler])
    )
    texts = ["a", "b", "c", "d", "\ud800" if fails else "e"]
    with heard() as events:
        if fails:
            with pytest.raises(XinferenceError):
                called(mode, model, "get_text_embedding_batch", texts)
        else:
            called(mode, model, "get_text_embedding_batch", texts)
    kinds = [type(event).__name__ for event in events if type(event).__name__.startswith("Embedding")]
    assert kinds.count("EmbeddingStartEvent") == kinds.count("EmbeddingEndEvent") == 3
    pairs = handler.get_event_pairs(CBEventType.EMBEDDING)
    assert len(pairs) == 3
    assert all(len(pair) == 2 for pair in pairs)


@pytest.mark.parametrize("mode", MODES)
def test_a_query_and_a_text_of_the_same_words_are_cached_apart_under_instructions(mode, server):
    model = li.XinferenceEmbedding("texts", server.url, query_instruction="query:", embeddings_cache=SimpleKVStore())
    text, query = called(mode, model, "get_text_embedding", "cat"), called(mode, model, "get_query_embedding", "cat")
    assert (text[0], query[0]) == (3.0, 10.0)
    again = called(mode, model, "get_query_embedding", "cat"), called(mode, model, "get_text_embedding", "cat")
    assert again == (query, text)
    assert len(server.bodies("/v1/embeddings")) == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("verb", ["get_text_embedding", "get_query_embedding", "get_text_embedding_batch"])
def test_a_cache_that_was_written_under_another_instruction_is_not_read(mode, server, verb):
    cache = SimpleKVStore()
    told = []
    for instruction in (None, "one:", "three:"):
        model = li.XinferenceEmbedding(
            "texts",
            server.url,
            query_instruction=instruction,
            text_instruction=instruction,
            embeddings_cache=cache,
        )
        asked = ["cat"] if verb.endswith("batch") else "cat"
        first, again = called(mode, model, verb, asked), called(mode, model, verb, asked)
        assert first == again
        told.append(first[0][0] if verb.endswith("batch") else first[0])
    assert told == [3.0, 8.0, 10.0]
    assert len(server.bodies("/v1/embeddings")) == 3


@pytest.mark.parametrize(
    "model",
    [
        lc.ChatXinference, lc.XinferenceLLM, lc.XinferenceEmbeddings, lc.XinferenceRerank,
        lc.XinferenceSparseEmbeddings, li.XinferenceLLM, li.XinferenceEmbedding, li.XinferenceRerank,
        li.XinferenceSparseEmbedding, li.XinferenceMultiModalEmbedding,
    ],
)  # fmt: skip
def test_model_can_be_read_on_every_class_that_takes_it(model):
    assert model(model="the-uid", server_url="http://127.0.0.1:9").model == "the-uid"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fails", [False, True])
def test_every_event_of_sparse_vectors_that_begins_ends(mode, server, fails):
    model = li.XinferenceSparseEmbedding("sparse", server.url, embed_batch_size=2, max_retries=0)
    texts = ["a", "b", "c", "d", "\ud800" if fails else "e"]
    with heard() as events:
        if fails:
            with pytest.raises(XinferenceError):
                called(mode, model, "get_text_embedding_batch", texts)
        else:
            called(mode, model, "get_text_embedding_batch", texts)
    kinds = [type(event).__name__ for event in events]
    assert kinds.count("SparseEmbeddingStartEvent") == kinds.count("SparseEmbeddingEndEvent") == 3
