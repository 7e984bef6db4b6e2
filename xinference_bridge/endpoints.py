"""The server's endpoints: arguments → Request, JSON → result. Pure, and the only place that knows them."""

from __future__ import annotations

import base64
import math
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson
from pydantic import ConfigDict, TypeAdapter

from xinference_bridge.counting import counted_messages
from xinference_bridge.errors import XinferenceProtocolError
from xinference_bridge.models import ModelInfo, model_from_wire
from xinference_bridge.wire import JSON, Ability, Embeddings, Request, RerankResult, Response

AUTH_NEEDED = Request("GET", "/v1/cluster/auth", anonymous=True)
CLUSTER_VERSION = Request("GET", "/v1/cluster/version")
LIST_MODELS = Request("GET", "/v1/models")


def models_from_response(response: Response) -> list[ModelInfo]:
    """The running models, in the server's order."""
    data = response.json()
    entries = data.get("data") if isinstance(data, Mapping) else None
    if not isinstance(entries, list):
        raise _unexpected(response, "a list of models under 'data'")
    if not all(isinstance(entry, Mapping) and entry.get("id") for entry in entries):
        raise _unexpected(response, "an id for each model")
    return [model_from_wire(entry) for entry in entries]


def describe_request(uid: str, ability: Ability | None = None) -> Request:
    """Ask for one model's description; it does not count as a use, and does not feed the server's memory of 404s."""
    return Request("GET", f"/v1/models/{quote(uid, safe='')}", model_uid=uid, ability=ability)


def model_from_response(response: Response, uid: str) -> ModelInfo:
    """The description of the model that was asked for."""
    data = response.json()
    if not isinstance(data, Mapping) or "model_type" not in data:
        raise _unexpected(response, "a model's description")
    return model_from_wire(data, uid)


def auth_needed_from_response(response: Response) -> bool:
    """Whether the server wants a credential."""
    data = response.json()
    return bool(data.get("auth")) if isinstance(data, Mapping) else False


def version_from_response(response: Response) -> str | None:
    """The server's version, as far as it names one."""
    data = response.json()
    version = data.get("version") if isinstance(data, Mapping) else data
    return str(version) if version else None


def chat_request(uid: str, messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]) -> Request:
    """One turn of a chat; absent parameters stay out of the JSON, so that the server's default holds."""
    body = {"model": uid, "messages": messages, **parameters}
    return Request("POST", "/v1/chat/completions", body, model_uid=uid, ability="chat")


def completion_request(uid: str, prompt: str, parameters: Mapping[str, Any]) -> Request:
    """Text that goes on from a prompt, without a chat template."""
    body = {"model": uid, "prompt": prompt, **parameters}
    return Request("POST", "/v1/completions", body, model_uid=uid, ability="generate")


def count_tokens_request(uid: str, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None) -> Request:
    """How many tokens the prompt has: exact on transformers, vLLM and SGLang; 501 on llama.cpp."""
    body: JSON = {"model": uid, "messages": counted_messages(messages)}
    if tools:
        body["tools"] = tools
    # The endpoint is Anthropic's, and asks for Anthropic's header.
    headers = (("anthropic-version", "2023-06-01"),)
    return Request("POST", "/v1/messages/count_tokens", body, model_uid=uid, ability="chat", headers=headers)


def token_count_from_response(response: Response) -> int:
    """The number of tokens."""
    data = response.json()
    count = data.get("input_tokens") if isinstance(data, Mapping) else None
    if not isinstance(count, int):
        raise _unexpected(response, "a number under 'input_tokens'")
    return count


def embeddings_request(uid: str, texts: Sequence[str], parameters: Mapping[str, Any]) -> Request:
    """One vector a text. Asked for as base64, which is read five times as fast as lists of numbers."""
    body: JSON = {"model": uid, "input": texts, "encoding_format": "base64", **parameters}
    if parameters.get("return_sparse"):
        # `{token: weight}` objects have no base64 form.
        del body["encoding_format"]
    return Request("POST", "/v1/embeddings", body, model_uid=uid, ability="embed")


def embeddings_from_response(response: Response, count: int) -> Embeddings:
    """One vector for each of `count` texts, in their order, as Python floats.

    Reads both forms: 4.1.0 answers base64 where it is asked for, 1.17.1 ignores that and answers lists. Raises
    XinferenceProtocolError that names the inputs whose vector is missing, doubled, broken or of another length.
    """
    data = response.json()
    entries = data.get("data") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise _unexpected(response, "a list of vectors under 'data'")
    places: list[Any] = [None] * count
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise _unexpected(response, f"an object at data[{position}]")
        index = entry.get("index", position)
        if not isinstance(index, int) or not 0 <= index < count or places[index] is not None:
            raise _unexpected(response, f"vectors numbered 0 to {count - 1}, each once; one is numbered {index!r}")
        places[index] = entry.get("embedding")
    _refuse_missing(response, places)
    if places and isinstance(places[0], dict):
        return Embeddings([], sparse=[_sparse(response, index, value) for index, value in enumerate(places)], raw=data)
    vectors = [_vector(response, index, value) for index, value in enumerate(places)]
    _refuse_uneven(response, vectors)
    return Embeddings(vectors, raw=data)


def _refuse_missing(response: Response, places: Sequence[Any]) -> None:
    missing = [index for index, place in enumerate(places) if place is None]
    if missing:
        named = ", ".join(map(str, missing[:10])) + (" …" if len(missing) > 10 else "")
        raise _unexpected(response, f"a vector for each of {len(places)} texts; none came for the inputs {named}")


def _refuse_uneven(response: Response, vectors: Sequence[Sequence[float]]) -> None:
    lengths = set(map(len, vectors))
    if len(lengths) > 1:
        raise _unexpected(response, f"vectors of one length; they have {sorted(lengths)}")


def _vector(response: Response, index: int, value: Any) -> list[float]:
    if isinstance(value, str):
        try:
            floats = array("f", _from_base64(value))
        except ValueError:  # binascii's and pydantic's errors are of it
            raise _unexpected(response, f"base64 of little-endian float32 for input {index}") from None
        if sys.byteorder == "big":
            floats.byteswap()
        vector = floats.tolist()
    elif isinstance(value, list) and all(type(number) in (float, int) for number in value):
        vector = list(map(float, value))
    else:
        raise _unexpected(response, f"a vector of numbers for input {index}")
    # A sum is finite when all are: a model that overflowed in half precision would else poison an index.
    if not vector or not math.isfinite(sum(vector)):
        raise _unexpected(response, f"a vector of finite numbers for input {index}")
    return vector


def _fastest_base64() -> Callable[[str], bytes]:
    """The decoder of pydantic, which is written in Rust, where it has one (2.9): 15 times as fast as Python's."""

    def pythons(text: str) -> bytes:
        return base64.b64decode(text, validate=True)

    # An older pydantic ignores the setting, and would take the text for the bytes.
    decoder = TypeAdapter(bytes, config=ConfigDict(val_json_bytes="base64"))
    return decoder.validate_strings if decoder.validate_strings("AACAPw==") == b"\0\0\x80?" else pythons


_from_base64 = _fastest_base64()


def _sparse(response: Response, index: int, value: Any) -> dict[str, float]:
    if not isinstance(value, dict) or not all(isinstance(weight, (int, float)) for weight in value.values()):
        raise _unexpected(response, f"an object of token weights for input {index}")
    return {str(token): float(weight) for token, weight in value.items()}


def rerank_request(uid: str, query: str, documents: Sequence[str], parameters: Mapping[str, Any]) -> Request:
    """How relevant each document is to the query."""
    body = {"model": uid, "query": query, "documents": documents, **parameters}
    return Request("POST", "/v1/rerank", body, model_uid=uid, ability="rerank")


def rerank_from_response(response: Response, count: int, top_n: int | None = None) -> list[RerankResult]:
    """The server's ranking, best first: of each of `count` documents, or of the best `top_n`.

    Raises XinferenceProtocolError when it names documents that were not sent, or leaves out some that were.
    """
    data = response.json()
    entries = data.get("results") if isinstance(data, Mapping) else None
    if not isinstance(entries, list):
        raise _unexpected(response, "a list under 'results'")
    results = []
    seen = set()
    for entry in entries:
        index = entry.get("index") if isinstance(entry, dict) else None
        score = entry.get("relevance_score") if isinstance(entry, dict) else None
        if not isinstance(index, int) or not 0 <= index < count or index in seen:
            raise _unexpected(response, f"documents numbered 0 to {count - 1}, each once; one is numbered {index!r}")
        if not isinstance(score, (int, float)) or isinstance(score, bool) or not math.isfinite(score):
            raise _unexpected(response, f"a relevance_score for document {index}")
        seen.add(index)
        results.append(RerankResult(index, float(score)))
    wanted = count if top_n is None or top_n < 0 else min(count, top_n)
    if len(results) < wanted:
        raise _unexpected(response, f"a score for {wanted} of {count} documents; it has {len(results)}")
    return sorted(results, key=lambda result: -result.relevance_score)


def tiny_request(model: ModelInfo) -> Request:
    """The smallest use of a model: one token, one vector, one document."""
    if model.type == "embedding":
        return embeddings_request(model.uid, ["ping"], {})
    if model.type == "rerank":
        return rerank_request(model.uid, "ping", ["pong"], {})
    if model.can("chat"):
        return chat_request(model.uid, [{"role": "user", "content": "ping"}], {"max_tokens": 1})
    return completion_request(model.uid, "ping", {"max_tokens": 1})


def json_answer(response: Response) -> JSON:
    """The answer as a JSON object; raises XinferenceProtocolError when it is none."""
    data = response.json()
    if not isinstance(data, dict):
        raise _unexpected(response, "a JSON object")
    return data


#: The `data` of the event that ends a chat stream. `/v1/completions` streams of 4.1.0 end without one.
DONE = b"[DONE]"


def event_from_payload(payload: bytes, url: str) -> JSON:
    """One event of a stream as a JSON object; raises XinferenceProtocolError when it is none."""
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError as broken:
        beginning = payload[:120].decode("utf-8", "replace")
        msg = f"{url} sent an event that is not JSON ({broken}): {beginning!r}"
        raise XinferenceProtocolError(msg, url=url, body=beginning) from None
    if not isinstance(event, dict):
        msg = f"{url} sent an event that is a {type(event).__name__}, not an object"
        raise XinferenceProtocolError(msg, url=url)
    return event


def _unexpected(response: Response, wanted: str) -> XinferenceProtocolError:
    beginning = response.body[:200].decode("utf-8", "replace")
    msg = f"{response.url} answered {response.status} without {wanted}. It began: {beginning!r}"
    return XinferenceProtocolError(
        msg, url=response.url, status_code=response.status, request_id=response.request_id, body=beginning
    )
