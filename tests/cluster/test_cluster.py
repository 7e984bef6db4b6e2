"""All replicas are used, and no text or answer is lost silently when a worker dies."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator

import orjson
import pytest

import llamaindex_xinference_bridge as llamaindex
from lab.families import LAUNCHES
from langchain_xinference_bridge import ChatXinference, XinferenceEmbeddings
from tests.cluster.conftest import Cluster
from xinference_bridge import XinferenceConnection, XinferenceError, XinferenceModelNotFoundError
from xinference_bridge.protocol.embedding import embeddings_from_response

pytestmark = pytest.mark.live_only
QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."
TEXTS = [f"Text {number} of a corpus, about the harbour and its boats." for number in range(600)]


@pytest.fixture
def answered_by(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many requests for embeddings each replica has answered."""
    counted: Counter[str] = Counter()
    read = embeddings_from_response

    def counting(response, count):
        counted[orjson.loads(response.body)["model_replica"]] += 1
        return read(response, count)

    monkeypatch.setattr("xinference_bridge.models.embedding.embeddings_from_response", counting)
    return counted


def chat_on(connection: XinferenceConnection, uid: str = "tiny-chat") -> ChatXinference:
    return ChatXinference(model_uid=uid, connection=connection, temperature=0, max_tokens=40)


def same(vectors: list[list[float]], expected: list[list[float]]) -> bool:
    """Replicas compute the same; batches of other sizes round otherwise in the last digits."""
    return len(vectors) == len(expected) and all(
        sum(a * b for a, b in zip(one, two, strict=True)) > 0.9999 for one, two in zip(vectors, expected, strict=True)
    )


@pytest.mark.usefixtures("cluster")
def test_requests_are_answered_by_both_replicas_in_turn(connection: XinferenceConnection, answered_by: Counter[str]):
    # Seen by embeddings: a chat's answer from llama.cpp names no replica.
    model = XinferenceEmbeddings(model_uid="minilm", connection=connection)
    for text in TEXTS[:6]:
        model.embed_query(text)
    assert sorted(answered_by.values()) == [3, 3]


@pytest.mark.usefixtures("cluster")
def test_a_corpus_is_embedded_by_both_replicas(connection: XinferenceConnection, answered_by: Counter[str]):
    model = XinferenceEmbeddings(model_uid="minilm", connection=connection, batch_size=16)
    assert len(model.embed_documents(TEXTS)) == len(TEXTS)
    assert sorted(answered_by.values()) == [19, 19]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_worker_killed_in_the_middle_loses_no_text(
    cluster: Cluster, connection: XinferenceConnection, answered_by: Counter[str], mode: str
):
    model = XinferenceEmbeddings(model_uid="minilm", connection=connection, batch_size=8)
    expected = model.embed_documents(TEXTS)
    answered_by.clear()

    def killing(texts: list[str]) -> Iterator[str]:
        for number, text in enumerate(texts):
            if number == len(texts) // 3:
                killer.start()
            yield text

    killer = threading.Thread(target=cluster.kill_a_worker)
    if mode == "sync":
        vectors = list(model.embed_stream(killing(TEXTS)))
    else:

        async def run() -> list[list[float]]:
            return [vector async for vector in model.aembed_stream(killing(TEXTS))]

        vectors = asyncio.run(run())
    killer.join()
    assert same(vectors, expected)
    assert len(answered_by) == 2
    assert cluster.replicas("minilm") <= 2


def test_llamaindex_loses_no_text_either(cluster: Cluster, connection: XinferenceConnection):
    model = llamaindex.XinferenceEmbedding("minilm", connection=connection, embed_batch_size=8)
    expected = model.get_text_embedding_batch(TEXTS)
    killer = threading.Timer(0.5, cluster.kill_a_worker)
    killer.start()
    vectors = model.get_text_embedding_batch(TEXTS)
    killer.join()
    assert same(vectors, expected)


def test_chats_go_on_when_a_worker_dies(cluster: Cluster, connection: XinferenceConnection):
    model = chat_on(connection)
    assert model.invoke(QUESTION).text == ANSWER
    cluster.kill_a_worker()
    answers = [model.invoke(QUESTION) for _ in range(8)]
    assert {answer.text for answer in answers} == {ANSWER}
    assert ["".join(piece.text for piece in model.stream(QUESTION)) for _ in range(4)] == [ANSWER] * 4


def test_a_stream_whose_worker_dies_ends_in_an_error_or_in_the_whole_answer(
    cluster: Cluster, connection: XinferenceConnection
):
    model = ChatXinference(model_uid="tiny-chat", connection=connection, temperature=0, max_tokens=2000)
    streams = [model.stream("Write a story about a cat.") for _ in range(2)]  # one on each replica
    begun = [next(stream).text for stream in streams]
    cluster.kill_a_worker()
    ends = []
    for text, stream in zip(begun, streams, strict=True):
        try:
            ends.append(text + "".join(piece.text for piece in stream))
        except XinferenceError as error:
            ends.append(type(error).__name__)
    assert any(len(end) > 40 for end in ends)
    for end in ends:
        assert end in ("XinferenceStreamError", "XinferenceServerError") or len(end) > 40


def test_a_replica_that_comes_up_later_is_used(
    cluster: Cluster, connection: XinferenceConnection, answered_by: Counter[str]
):
    model = XinferenceEmbeddings(model_uid="minilm", connection=connection, batch_size=16)
    cluster.kill_a_worker()
    cluster.until(lambda: cluster.replicas("minilm") == 1)
    model.embed_documents(TEXTS[:320])
    assert len(answered_by) == 1
    cluster.mend()
    answered_by.clear()
    model.embed_documents(TEXTS[:320])
    assert len(answered_by) == 2


def test_a_model_that_is_relaunched_under_its_uid_is_found_again(cluster: Cluster, connection: XinferenceConnection):
    model = chat_on(connection, "again")
    by_uid = {launch.uid: launch for launch in LAUNCHES}
    for uid, engine in (("tiny-chat", "llama.cpp"), ("tiny-chat-hf", "transformers")):
        payload = by_uid[uid].payload() | {"model_uid": "again"}
        cluster.rest.post("/v1/models", payload, timeout=300)
        try:
            connection.wait_until_ready("again", timeout=60)
            assert model.invoke(QUESTION).text == ANSWER
            assert connection.model("again").engine == engine
        finally:
            cluster.rest.delete("/v1/models/again")
        with pytest.raises(XinferenceModelNotFoundError, match="again"):
            model.invoke(QUESTION)
