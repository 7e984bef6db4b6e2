"""Encodes requests and parses vectors, rankings and models; nothing is lost, nothing is invented."""

from __future__ import annotations

import base64
import struct

import orjson
import pytest

from tests.core.asks import body_of, recorded
from xinference_bridge import XinferenceBadRequestError, XinferenceProtocolError
from xinference_bridge.protocol.chat.plan import chat_request
from xinference_bridge.protocol.chat.token_count import token_count_from_response
from xinference_bridge.protocol.embedding import (
    SparseVector,
    array_from_response,
    embeddings_from_response,
    embeddings_request,
    sparse_from_response,
    sparse_request,
)
from xinference_bridge.protocol.http import Request, Response
from xinference_bridge.protocol.json_body import encode
from xinference_bridge.protocol.model_info import describe_request, model_from_response, models_from_response
from xinference_bridge.protocol.rerank import rerank_from_response, rerank_request


def answer(content: object) -> Response:
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return Response(200, body, {}, "http://host:9997/v1/embeddings", "the-id")


def in_base64(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def vectors(*embeddings: object, **more: object) -> Response:
    return answer({"data": [{"index": i, "embedding": e} for i, e in enumerate(embeddings)], **more})


def numbered(*numbers: object) -> Response:
    return answer({"data": [{"index": n, "embedding": [float(place)]} for place, n in enumerate(numbers)]})


# Embeddings


def test_a_recorded_answer_gives_the_same_vectors_from_base64_and_from_lists():
    content = orjson.loads(body_of(recorded("embeddings")))
    from_base64 = embeddings_from_response(answer(content), 3).vectors
    for entry, vector in zip(content["data"], from_base64, strict=True):
        entry["embedding"] = vector
    assert embeddings_from_response(answer(content), 3).vectors == from_base64
    assert [len(vector) for vector in from_base64] == [384] * 3
    assert all(type(number) is float for number in from_base64[0])


def test_vectors_come_back_in_input_order_however_the_server_shuffles_them():
    content = orjson.loads(body_of(recorded("embeddings")))
    in_order = embeddings_from_response(answer(content), 3).vectors
    content["data"].reverse()
    assert embeddings_from_response(answer(content), 3).vectors == in_order


def test_whole_numbers_become_floats():
    assert embeddings_from_response(vectors([1, 0]), 1).vectors == [[1.0, 0.0]]


def test_without_index_the_place_counts():
    assert embeddings_from_response(answer({"data": [{"embedding": [1]}, {"embedding": [2]}]}), 2).vectors == [[1], [2]]


@pytest.mark.parametrize(
    ("numbers", "places"),
    [
        pytest.param((0, 1, 2), [0, 1, 2], id="numbered in order"),
        pytest.param((2, 0, 1), [1, 2, 0], id="numbered in another order"),
        pytest.param((3, 4, 5), [0, 1, 2], id="numbered as part of a merged batch, as 2.12.0 does"),
        pytest.param((1, 2, 3), [0, 1, 2], id="the merged batch begins with one text of another request"),
        pytest.param((None, None, None), [0, 1, 2], id="not numbered"),
        pytest.param((0, 0, 0), [0, 1, 2], id="numbered alike"),
        pytest.param(("0", "0", "0"), [0, 1, 2], id="numbered alike by a string"),
    ],
)
def test_vectors_are_read_in_input_order_however_they_are_numbered(numbers, places):
    expected = [[float(place)] for place in places]
    assert embeddings_from_response(numbered(*numbers), 3).vectors == expected
    assert array_from_response(numbered(*numbers), 3).tolist() == expected


def test_an_input_is_named_by_its_place_in_the_call_and_not_in_its_batch():
    for read in (embeddings_from_response, array_from_response):
        with pytest.raises(XinferenceProtocolError, match="finite numbers for input 67"):
            read(vectors(*[in_base64(1.0)] * 3, in_base64(float("inf"))), 4, start=64)
        with pytest.raises(XinferenceProtocolError, match="none came for the inputs 65"):
            read(vectors([1.0]), 2, start=64)


@pytest.mark.parametrize("broken", ["a lone surrogate \ud800", float("nan")], ids=["surrogate", "not a number"])
def test_an_input_that_cannot_be_sent_is_named_by_its_place_in_the_call(broken):
    with pytest.raises(XinferenceBadRequestError, match=r"input\[67\]"):
        encode(embeddings_request("m", ["a", "b", "c", broken], {}, start=64))


def test_an_array_holds_the_same_numbers_as_the_lists():
    recorded_answer = answer(body_of(recorded("embeddings")))
    vectors_of_array = array_from_response(recorded_answer, 3)
    assert str(vectors_of_array.dtype) == "float32"
    assert vectors_of_array.tolist() == embeddings_from_response(recorded_answer, 3).vectors
    assert vectors_of_array.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(
    ("broken", "count", "words"),
    [
        (vectors([1.0]), 2, "none came for the inputs 1"),
        (vectors([1.0], None, [2.0]), 3, "none came for the inputs 1"),
        (vectors([1.0], [2.0]), 1, "without 1 vectors; it has 2"),
        (numbered(0, 0, 1), 3, "numbered each once; they are numbered 0, 0, 1"),
        (numbered(5, 3, 4), 3, "numbered in a row; they are numbered 5, 3, 4"),
        (numbered(1, None), 2, "numbered each once; they are numbered 1, None"),
        (vectors({"7": 0.5}), 1, "a dense vector for input 0: it is sparse"),
        (vectors([1.0, 2.0], [1.0]), 2, "one length; input 0 has 2 numbers, input 1 1"),
        (vectors([1.0, None]), 1, "numbers for input 0"),
        (vectors([1.0], ["1.0"]), 2, "numbers for input 1"),
        (vectors([True]), 1, "numbers for input 0"),
        (vectors([]), 1, "finite numbers for input 0"),
        (vectors(""), 1, "finite numbers for input 0"),
        (vectors("AAA"), 1, "base64"),
        (vectors("AAAA"), 1, "base64"),
        (vectors("AA\n!!AAAA=="), 1, "base64"),
        (vectors(in_base64(1.0, float("nan"))), 1, "finite numbers for input 0"),
        (vectors(in_base64(1.0), in_base64(float("inf"))), 2, "finite numbers for input 1"),
        (answer({"data": [7]}), 1, r"object at data\[0\]"),
        (answer({"data": {}}), 1, "list of vectors"),
        (answer({}), 1, "list of vectors"),
        (answer([]), 1, "list of vectors"),
        (answer(b"{"), 1, "not JSON"),
    ],
)
def test_what_is_not_one_vector_a_text_is_refused(broken: Response, count: int, words: str):
    with pytest.raises(XinferenceProtocolError, match=words) as caught:
        embeddings_from_response(broken, count)
    assert caught.value.request_id == "the-id"
    assert caught.value.status_code == 200


def test_a_usage_of_minus_one_disturbs_nobody():
    usage = {"prompt_tokens": -1, "total_tokens": -1}
    assert embeddings_from_response(vectors([1.0], usage=usage), 1).vectors == [[1.0]]


def test_sparse_vectors_are_read_as_weights_and_not_asked_for_as_base64():
    assert sparse_from_response(vectors({"102": 0.5, "7": 1}), 1) == [SparseVector([7, 102], [1.0, 0.5])]
    assert sparse_from_response(vectors({}), 1) == [SparseVector([], [])]
    request = sparse_request("m", ["a"], {})
    assert request.json == {"model": "m", "input": ["a"], "return_sparse": True}


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (vectors([0.5]), "a sparse vector for input 0: it is dense"),
        (vectors(in_base64(0.5)), "a sparse vector for input 0: it is dense"),
        (vectors({"cat": 0.5}), "token weights for input 0"),
        (vectors({"1": "heavy"}), "token weights for input 0"),
        (vectors({"1": None}), "token weights for input 0"),
        (vectors(7), "token weights for input 0"),
    ],
)
def test_what_is_not_one_sparse_vector_a_text_is_refused(broken: Response, words: str):
    with pytest.raises(XinferenceProtocolError, match=words):
        sparse_from_response(broken, 1)


# Rerank


def ranking(*entries: tuple[object, object]) -> Response:
    return answer({"results": [{"index": i, "relevance_score": s} for i, s in entries]})


def test_a_ranking_comes_best_first():
    results = rerank_from_response(ranking((0, 0.1), (2, 0.9), (1, 0.5)), 3)
    assert [(result.index, result.relevance_score) for result in results] == [(2, 0.9), (1, 0.5), (0, 0.1)]


def test_a_ranking_of_the_best_few_is_as_long_as_asked():
    assert len(rerank_from_response(ranking((2, 0.9)), 3, top_n=1)) == 1
    assert rerank_from_response(ranking(), 3, top_n=0) == []
    assert len(rerank_from_response(ranking((0, 1), (1, 1)), 2, top_n=9)) == 2


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (ranking((0, 0.1), (1, 0.2)), "a score for 3 of 3 documents; it has 2"),
        (ranking((0, 0.1), (1, 0.2), (3, 0.3)), "numbered 3"),
        (ranking((0, 0.1), (0, 0.2), (1, 0.3)), "numbered 0"),
        (ranking((0, None), (1, 0.2), (2, 0.3)), "relevance_score for document 0"),
        (ranking((0, True), (1, 0.2), (2, 0.3)), "relevance_score for document 0"),
        (answer({"results": [None, None, None]}), "numbered None"),
        (answer({"data": []}), "'results'"),
    ],
)
def test_what_does_not_rank_each_document_once_is_refused(broken: Response, words: str):
    with pytest.raises(XinferenceProtocolError, match=words):
        rerank_from_response(broken, 3)


# What is written


def test_an_unset_parameter_is_absent():
    assert chat_request("m", [], {}).json == {"model": "m", "messages": []}
    assert rerank_request("m", "q", ["d"], {"top_n": 2}).json == {
        "model": "m",
        "query": "q",
        "documents": ["d"],
        "top_n": 2,
    }


def test_a_uid_with_a_slash_stays_one_part_of_the_path():
    assert describe_request("org/model 1").path == "/v1/models/org%2Fmodel%201"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"input": ["good", "bad \ud800"]}, r"input\[1\]"),
        ({"messages": [{"role": "user", "content": "\udc00"}]}, r"messages\[0\]\.content"),
        ({"temperature": float("nan")}, "temperature is NaN"),
        ({"tools": [{"a": {"b": [1.0, float("inf")]}}]}, r"tools\[0\]\.a\.b\[1\] is NaN or infinite"),
        ({"seed": 2**64}, "seed"),
        ({"stop": object()}, "stop"),
        ({"model": {1: 2}}, "the request"),
    ],
)
def test_a_value_that_json_cannot_encode_is_refused_with_its_path(body: dict[str, object], place: str):
    with pytest.raises(XinferenceBadRequestError, match=place) as caught:
        encode(Request("POST", "/v1/x", body, model_uid="m"))
    assert caught.value.model_uid == "m"


def test_what_the_caller_gave_is_not_changed():
    parameters = {"return_sparse": True}
    embeddings_request("m", ["a"], parameters)
    assert parameters == {"return_sparse": True}


# Models, counts, events


def test_the_recorded_models_are_read():
    models = {model.uid: model for model in models_from_response(answer(body_of(recorded("models"))))}
    assert (models["minilm"].type, models["minilm"].dimensions, models["minilm"].max_tokens) == ("embedding", 384, 256)
    assert (models["minilm"].name, models["minilm"].engine) == ("all-MiniLM-L6-v2", "sentence_transformers")
    assert models["tiny-chat"].context_length == 4096
    assert models["tiny-chat"].engine == "llama.cpp"
    assert {"chat", "tools"} <= set(models["tiny-chat"].abilities)


def test_one_model_is_described_without_its_uid():
    assert model_from_response(answer(body_of(recorded("describe_chat"))), "tiny-chat").uid == "tiny-chat"


@pytest.mark.parametrize("broken", [{}, [], {"data": None}, {"data": [1]}, {"data": [{"model_type": "LLM"}]}, None])
def test_another_services_list_is_refused(broken: object):
    with pytest.raises(XinferenceProtocolError):
        models_from_response(answer(broken))


@pytest.mark.parametrize("broken", [{}, [], "model", {"status": "ok"}])
def test_another_services_description_is_refused(broken: object):
    with pytest.raises(XinferenceProtocolError):
        model_from_response(answer(broken), "m")


def test_a_count_is_a_number():
    assert token_count_from_response(answer({"input_tokens": 7})) == 7
    broken: object
    for broken in ({"input_tokens": "7"}, {}, []):
        with pytest.raises(XinferenceProtocolError):
            token_count_from_response(answer(broken))
