"""`POST /v1/embeddings`: texts and images → request, answer → vectors, dense, sparse or as an array. Pure."""

from __future__ import annotations

import base64
import math
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, TypeAdapter

from xinference_bridge.protocol.http import JSON, Request, Response
from xinference_bridge.protocol.shape_errors import unexpected_answer

if TYPE_CHECKING:
    import numpy as np

#: An input to embed: a text, or an object such as `{"image": "data:image/png;base64,…"}`.
Item = str | Mapping[str, str]


@dataclass(slots=True)
class Embeddings:
    """One vector per input, in input order, and the server's model name."""

    vectors: list[list[float]]
    raw: JSON = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SparseVector:
    """The weights of one text's tokens: `indices` are ascending token ids, `values` their weights."""

    indices: list[int]
    values: list[float]


def embeddings_request(uid: str, inputs: Sequence[Item], parameters: Mapping[str, Any], start: int = 0) -> Request:
    """Return the request for one dense vector per input.

    It asks for base64, which parses five times as fast as lists of numbers.

    Args:
        uid: The model.
        inputs: Texts or objects, as many as one request takes.
        parameters: Parameters by their wire names. An absent one has the server's default.
        start: The index of the first input among all inputs of the call, for errors.
    """
    body: JSON = {"model": uid, "input": inputs, "encoding_format": "base64", **parameters}
    return Request("POST", "/v1/embeddings", body, model_uid=uid, ability="embed", first_input=start)


def sparse_request(uid: str, texts: Sequence[str], parameters: Mapping[str, Any], start: int = 0) -> Request:
    """Return the request for one sparse vector per text: `{token id: weight}` objects, which have no base64 form."""
    body: JSON = {"model": uid, "input": texts, "return_sparse": True, **parameters}
    return Request("POST", "/v1/embeddings", body, model_uid=uid, ability="embed", first_input=start)


def embeddings_from_response(response: Response, count: int, start: int = 0) -> Embeddings:
    """Return one vector for each of `count` inputs, in their order, as Python floats.

    Reads both forms: 4.1.0 answers base64 where it is asked for, 1.17.1 ignores that and answers lists.

    Args:
        response: The server's answer.
        count: The inputs that were sent.
        start: The place of the first one among all inputs of the call, for errors to name.

    Raises:
        XinferenceProtocolError: A vector is missing, sparse, broken or of another length; the inputs are named.
    """
    data = response.json()
    values = _in_input_order(response, data, count, start)
    vectors = [_vector(response, start + place, value) for place, value in enumerate(values)]
    _refuse_uneven(response, list(map(len, vectors)), start)
    return Embeddings(vectors, raw=data)


def array_from_response(response: Response, count: int, start: int = 0) -> np.ndarray[Any, Any]:
    """Return the vectors as one array of float32, `(count, dimensions)`; no Python floats are made.

    Raises as `embeddings_from_response` does.
    """
    import numpy as np

    rows = []
    for place, value in enumerate(_in_input_order(response, response.json(), count, start), start=start):
        if isinstance(value, str):
            row = np.frombuffer(_bytes_of(response, place, value), dtype="<f4")
        else:
            row = np.asarray(_vector(response, place, value), dtype="<f4")
        rows.append(row)
    _refuse_uneven(response, list(map(len, rows)), start)
    vectors = np.stack(rows).astype(np.float32, copy=False) if rows else np.empty((0, 0), dtype=np.float32)
    finite = np.isfinite(vectors.sum(axis=1)) if vectors.size else np.full(len(rows), fill_value=False)
    if not finite.all():
        raise _not_finite(response, start + int(np.argmin(finite)))
    return vectors


def sparse_from_response(response: Response, count: int, start: int = 0) -> list[SparseVector]:
    """Return one sparse vector for each of `count` texts, in their order.

    Raises:
        XinferenceProtocolError: A vector is missing, or has no token weights.
    """
    data = response.json()
    values = _in_input_order(response, data, count, start)
    return [_sparse(response, start + place, value) for place, value in enumerate(values)]


def _in_input_order(response: Response, data: Any, count: int, start: int) -> list[Any]:
    """The raw vectors in the order of the inputs.

    Numbered 0 to count - 1 they are put in that order, as the standard of this endpoint says. Numbered otherwise, they
    stand in input order: servers of 1.17.1 to 3.0 merge concurrent requests and leave the numbers of the merged batch
    (a text alone came as `[{"index": 3}]`, live on 2.12.0), others leave them out or number all alike.
    """
    entries = data.get("data") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise unexpected_answer(response, "a list of vectors under 'data'")
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise unexpected_answer(response, f"an object at data[{position}]")
    if len(entries) > count:
        raise unexpected_answer(response, f"{count} vectors; it has {len(entries)}")
    values = [entry.get("embedding") for entry in entries]
    numbers = [entry.get("index") for entry in entries]
    if all(type(number) is int for number in numbers) and len(set(numbers)) == len(numbers):
        if set(numbers) <= set(range(count)) and (len(numbers) < count or numbers != list(range(count))):
            placed: list[Any] = [None] * count
            for number, value in zip(numbers, values, strict=True):
                placed[number] = value
            values = placed
        elif numbers != sorted(numbers):
            raise unexpected_answer(response, f"vectors numbered in a row; they are numbered {_named(numbers)}")
    elif len({repr(number) for number in numbers}) > 1:
        raise unexpected_answer(response, f"vectors numbered each once; they are numbered {_named(numbers)}")
    values += [None] * (count - len(values))
    missing = [start + place for place, value in enumerate(values) if value is None]
    if missing:
        raise unexpected_answer(
            response, f"a vector for each of {count} inputs; none came for the inputs {_named(missing)}"
        )
    return values


def _named(numbers: Sequence[Any]) -> str:
    return ", ".join(map(str, numbers[:10])) + (" …" if len(numbers) > 10 else "")


def _refuse_uneven(response: Response, lengths: Sequence[int], start: int) -> None:
    if len(set(lengths)) > 1:
        other = next(place for place, length in enumerate(lengths) if length != lengths[0])
        raise unexpected_answer(
            response,
            f"vectors of one length; input {start} has {lengths[0]} numbers, input {start + other} {lengths[other]}",
        )


def _bytes_of(response: Response, place: int, value: str) -> bytes:
    try:
        decoded = _from_base64(value)
    except ValueError:  # binascii's and pydantic's errors are of it
        decoded = b"?"
    if len(decoded) % 4:
        raise unexpected_answer(response, f"base64 of little-endian float32 for input {place}")
    return decoded


def _vector(response: Response, place: int, value: Any) -> list[float]:
    if isinstance(value, str):
        floats = array("f", _bytes_of(response, place, value))
        if sys.byteorder == "big":
            floats.byteswap()
        vector = floats.tolist()
    elif isinstance(value, list) and all(type(number) in (float, int) for number in value):
        vector = list(map(float, value))
    elif isinstance(value, dict):
        raise unexpected_answer(
            response,
            f"a dense vector for input {place}: it is sparse, as a model launched with return_sparse answers",
        )
    else:
        raise unexpected_answer(response, f"a vector of numbers for input {place}")
    # A sum is finite when all are: a model that overflowed in half precision would else poison an index.
    if not vector or not math.isfinite(sum(vector)):
        raise _not_finite(response, place)
    return vector


def _not_finite(response: Response, place: int) -> Exception:
    return unexpected_answer(response, f"a vector of finite numbers for input {place}")


def _fastest_base64() -> Callable[[str], bytes]:
    """The decoder of pydantic, which is written in Rust, where it has one (2.9): 15 times as fast as Python's."""

    def pythons(text: str) -> bytes:
        return base64.b64decode(text, validate=True)

    # An older pydantic ignores the setting, and would take the text for the bytes.
    decoder = TypeAdapter(bytes, config=ConfigDict(val_json_bytes="base64"))
    return decoder.validate_strings if decoder.validate_strings("AACAPw==") == b"\0\0\x80?" else pythons


_from_base64 = _fastest_base64()


def _sparse(response: Response, place: int, value: Any) -> SparseVector:
    if isinstance(value, (str, list)):
        raise unexpected_answer(
            response, f"a sparse vector for input {place}: it is dense. Sparse vectors take the engine `flag` (BGE-M3)"
        )
    try:
        pairs = sorted((int(token), float(weight)) for token, weight in value.items())
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise unexpected_answer(response, f"an object of token weights for input {place}") from None
    if not all(math.isfinite(weight) for _, weight in pairs):
        raise _not_finite(response, place)
    return SparseVector([token for token, _ in pairs], [weight for _, weight in pairs])
