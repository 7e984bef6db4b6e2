"""XinferenceEmbeddings: one vector per text, in order, many texts per request."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import builtins
import math

import pytest

from langchain_xinference_bridge import XinferenceEmbeddings
from langchain_xinference_bridge.errors import XinferenceConfigurationError, XinferenceProtocolError
from xinference_bridge.models.embedding import EmbeddingHandle

TEXTS = [f"The number {number}." for number in range(10)]


@pytest.fixture
def embeddings(connection):
    return XinferenceEmbeddings(model="minilm", connection=connection, batch_size=3, max_concurrency=2)


def near(left, right):
    return all(math.isclose(a, b, abs_tol=1e-5) for a, b in zip(left, right, strict=True))


@pytest.mark.server
async def test_batches_come_back_in_the_order_of_the_texts(embeddings):
    vectors = embeddings.embed_documents(TEXTS)
    assert [len(vector) for vector in vectors] == [384] * 10
    assert type(vectors[0]) is list
    assert type(vectors[0][0]) is float
    one_by_one = [embeddings.embed_query(TEXTS[number]) for number in (0, 4, 9)]
    assert all(near(vectors[number], single) for number, single in zip((0, 4, 9), one_by_one, strict=True))
    awaited = await embeddings.aembed_documents(TEXTS)
    assert all(near(left, right) for left, right in zip(vectors, awaited, strict=True))


@pytest.mark.server
async def test_a_corpus_is_embedded_as_it_is_read(embeddings):
    read = []

    def corpus():
        for text in TEXTS * 4:
            read.append(text)
            yield text

    stream = embeddings.embed_stream(corpus())
    next(stream)
    assert len(read) < 30  # no more than is in flight
    assert len(list(stream)) == 39
    assert len([vector async for vector in embeddings.aembed_stream(corpus())]) == 40


async def test_nothing_in_nothing_out_and_nothing_asked():
    embeddings = XinferenceEmbeddings("http://example.org", "m")
    assert embeddings.embed_documents([]) == await embeddings.aembed_documents([]) == []


def test_one_text_is_not_taken_for_a_list_of_its_letters():
    with pytest.raises(XinferenceConfigurationError, match="not one text"):
        XinferenceEmbeddings("http://example.org", "m").embed_documents("abc")


@pytest.mark.parametrize("instruction", ["", "passage: "])
async def test_what_is_no_text_is_named_and_nothing_is_sent(instruction):
    embeddings = XinferenceEmbeddings(
        "http://example.org", "m", document_instruction=instruction, query_instruction=instruction
    )
    with pytest.raises(XinferenceConfigurationError, match="must be a string, got int: 7"):
        embeddings.embed_documents(["a", 7])
    with pytest.raises(XinferenceConfigurationError, match="must be a string, got int: 7"):
        await embeddings.aembed_documents(["a", 7])
    with pytest.raises(XinferenceConfigurationError, match="must be a string, got NoneType: None"):
        embeddings.embed_query(None)


async def test_a_corpus_that_is_one_text_is_an_error_as_langchain_names_it():
    embeddings = XinferenceEmbeddings("http://example.org", "m")
    with pytest.raises(XinferenceConfigurationError, match="not one text"):
        list(embeddings.embed_stream("abc"))
    with pytest.raises(XinferenceConfigurationError, match="not one text"):
        [vector async for vector in embeddings.aembed_stream("abc")]


@pytest.mark.server
async def test_instructions_stand_before_queries_and_documents(connection):
    plain = XinferenceEmbeddings(model="minilm", connection=connection)
    told = XinferenceEmbeddings(
        model="minilm", connection=connection, query_instruction="query: ", document_instruction="passage: "
    )
    assert near(told.embed_query("cats"), plain.embed_query("query: cats"))
    assert near(told.embed_documents(["cats"])[0], plain.embed_documents(["passage: cats"])[0])
    assert near(await told.aembed_query("cats"), plain.embed_query("query: cats"))


@pytest.mark.server
def test_texts_are_cut_where_it_is_wished(connection):
    long = "cats and dogs " * 50
    cut = XinferenceEmbeddings(model="minilm", connection=connection, truncate=5)
    whole = XinferenceEmbeddings(model="minilm", connection=connection)
    at_the_limit = XinferenceEmbeddings(model="minilm", connection=connection, truncate=True)
    assert not near(cut.embed_query(long), whole.embed_query(long))
    assert near(at_the_limit.embed_query("cats"), whole.embed_query("cats"))


@pytest.mark.server
def test_dimensions_that_the_engine_ignores_are_an_error(connection):
    embeddings = XinferenceEmbeddings(model="minilm", connection=connection, dimensions=256)
    with pytest.raises(XinferenceProtocolError, match=r"384 dimensions instead of 256"):
        embeddings.embed_query("cats")
    right = XinferenceEmbeddings(model="minilm", connection=connection, dimensions=384)
    assert len(right.embed_query("cats")) == 384


@pytest.mark.server
def test_a_bar_shows_how_far_it_is(embeddings, capsys):
    pytest.importorskip("tqdm")
    embeddings.model_copy(update={"show_progress": True}).embed_documents(TEXTS)
    assert "10/10" in capsys.readouterr().err


def test_a_bar_without_tqdm_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def without_tqdm(name, *args, **kwargs):
        if name.startswith("tqdm"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_tqdm)
    with pytest.raises(XinferenceConfigurationError, match="pip install tqdm"):
        XinferenceEmbeddings("http://example.org", "m", show_progress=True).embed_documents(["a"])


def test_the_error_names_the_texts_that_were_not_embedded(monkeypatch):
    real = EmbeddingHandle.embed

    def fails_at_the_third(self, texts, *args, **kwargs):
        if TEXTS[4] in texts:
            raise XinferenceProtocolError("no vectors")
        return real(self, [], *args, **kwargs)

    monkeypatch.setattr(EmbeddingHandle, "embed", fails_at_the_third)
    with pytest.raises(XinferenceProtocolError, match=r"inputs 4 to 5.* were not embedded"):
        XinferenceEmbeddings("http://example.org", "m", batch_size=2).embed_documents(TEXTS)
