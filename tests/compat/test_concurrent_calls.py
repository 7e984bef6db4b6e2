"""Concurrent embedding and rerank: before 3.5 a server merges concurrent requests and numbers the merged batch."""

# The frameworks type what they return more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import orjson
import pytest

import llamaindex_xinference_bridge as llamaindex
from langchain_xinference_bridge import XinferenceEmbeddings, XinferenceRerank
from tests.compat.servers import SERVERS, Server
from tests.support.lab import Lab
from xinference_bridge import XinferenceConnection
from xinference_bridge.client import registry as clients
from xinference_bridge.client.auth import registry as gates

if TYPE_CHECKING:
    from xinference_bridge.testing import Recording

pytestmark = pytest.mark.server
TEXTS = ["a cat", "a dog", "a ship", "a lighthouse on the coast", "soup", "the south quay"]


@pytest.fixture(
    params=[pytest.param(version, marks=pytest.mark.xinference(version), id=version) for version in SERVERS]
)
def server(request: pytest.FixtureRequest) -> Server:
    return SERVERS[request.param]


@pytest.fixture
def connection(lab: Lab, server: Server) -> Iterator[XinferenceConnection]:
    gates.reset()
    yield XinferenceConnection(server_url=lab.url, api_key=lab.api_key if server.asks_who_calls else None)
    clients.close_all()
    gates.reset()


def by_threads(connection: XinferenceConnection) -> list[list[float]]:
    """Many callers, each with one text of its own."""
    model = XinferenceEmbeddings(model_uid="minilm", connection=connection)
    with ThreadPoolExecutor(len(TEXTS)) as pool:
        return list(pool.map(model.embed_query, TEXTS))


def by_tasks(connection: XinferenceConnection) -> list[list[float]]:
    """The same in one event loop."""
    model = llamaindex.XinferenceEmbedding("minilm", connection=connection)

    async def all_at_once() -> list[list[float]]:
        async with connection:
            return await asyncio.gather(*map(model.aget_query_embedding, TEXTS))

    return asyncio.run(all_at_once())


def by_batches(connection: XinferenceConnection) -> list[list[float]]:
    """One caller whose batches go out at once."""
    model = llamaindex.XinferenceEmbedding("minilm", connection=connection, embed_batch_size=2, num_workers=3)
    return model.get_text_embedding_batch(TEXTS)


def by_batches_of_an_array(connection: XinferenceConnection) -> list[list[float]]:
    """The same as tasks, read into an array."""
    model = XinferenceEmbeddings(model_uid="minilm", connection=connection, batch_size=2, max_concurrency=3)

    async def embedded() -> list[list[float]]:
        async with connection:
            vectors: list[list[float]] = (await model.aembed_array(TEXTS)).tolist()
            return vectors

    return asyncio.run(embedded())


@pytest.mark.slow
@pytest.mark.parametrize("ask", [by_threads, by_tasks, by_batches, by_batches_of_an_array])
def test_concurrent_calls_get_the_vectors_of_their_own_texts(
    connection, server, vcr: Recording | None, ask: Callable[..., Any]
):
    alone = XinferenceEmbeddings(model_uid="minilm", connection=connection).embed_documents(TEXTS)
    assert ask(connection) == [pytest.approx(vector, abs=1e-4) for vector in alone]
    if vcr is not None:
        shifted = any(numbers != list(range(len(numbers))) for numbers in numbers_of_each_answer(vcr))
        assert shifted is not server.numbers_each_request


def numbers_of_each_answer(recording: Recording) -> list[list[int]]:
    return [
        [entry["index"] for entry in orjson.loads(response["body"]["string"])["data"]]
        for request, response in recording.data
        if request.path.endswith("/embeddings")
    ]


def test_concurrent_rerankings_are_each_of_their_own_documents(connection, server):
    model = XinferenceRerank(model_uid="tiny-rerank", connection=connection)

    def ranked(query: str) -> dict[int, float]:
        found = model.rerank(query, [text for text in TEXTS if text != query])
        return {entry["index"]: entry["relevance_score"] for entry in found}

    alone = [pytest.approx(ranked(text), abs=1e-4) for text in TEXTS]
    with ThreadPoolExecutor(len(TEXTS)) as pool:
        assert list(pool.map(ranked, TEXTS)) == alone
