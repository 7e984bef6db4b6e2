"""`POST /v1/embeddings`: texts → request, answer → vectors. Pure."""

from __future__ import annotations

import base64
import math
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from xinference_bridge.protocol.http import JSON, Request, Response
from xinference_bridge.protocol.shape_errors import unexpected_answer


@dataclass(slots=True)
class Embeddings:
    """One vector a text, in input order, and what the server says of the model."""

    vectors: list[list[float]]
    sparse: list[dict[str, float]] | None = None
    raw: JSON = field(default_factory=dict)


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
        raise unexpected_answer(response, "a list of vectors under 'data'")
    places: list[Any] = [None] * count
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise unexpected_answer(response, f"an object at data[{position}]")
        index = entry.get("index", position)
        if not isinstance(index, int) or not 0 <= index < count or places[index] is not None:
            raise unexpected_answer(
                response, f"vectors numbered 0 to {count - 1}, each once; one is numbered {index!r}"
            )
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
        raise unexpected_answer(response, f"a vector for each of {len(places)} texts; none came for the inputs {named}")


def _refuse_uneven(response: Response, vectors: Sequence[Sequence[float]]) -> None:
    lengths = set(map(len, vectors))
    if len(lengths) > 1:
        raise unexpected_answer(response, f"vectors of one length; they have {sorted(lengths)}")


def _vector(response: Response, index: int, value: Any) -> list[float]:
    if isinstance(value, str):
        try:
            floats = array("f", _from_base64(value))
        except ValueError:  # binascii's and pydantic's errors are of it
            raise unexpected_answer(response, f"base64 of little-endian float32 for input {index}") from None
        if sys.byteorder == "big":
            floats.byteswap()
        vector = floats.tolist()
    elif isinstance(value, list) and all(type(number) in (float, int) for number in value):
        vector = list(map(float, value))
    else:
        raise unexpected_answer(response, f"a vector of numbers for input {index}")
    # A sum is finite when all are: a model that overflowed in half precision would else poison an index.
    if not vector or not math.isfinite(sum(vector)):
        raise unexpected_answer(response, f"a vector of finite numbers for input {index}")
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
        raise unexpected_answer(response, f"an object of token weights for input {index}")
    return {str(token): float(weight) for token, weight in value.items()}
