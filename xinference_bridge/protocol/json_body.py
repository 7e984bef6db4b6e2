"""A request body as JSON; what JSON cannot say is named by its place. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from xinference_bridge.errors import XinferenceBadRequestError
from xinference_bridge.protocol.http import Request


def encode(request: Request) -> bytes:
    """The body as JSON. Raises XinferenceBadRequestError that names the place of what JSON cannot say."""
    try:
        body = orjson.dumps(request.json)
    except TypeError as refused:
        place = _in_call(_first_unencodable(request.json), request)
        msg = f"{place or 'the request'} cannot be sent as JSON ({refused}); it was not sent"
        raise XinferenceBadRequestError(msg, model_uid=request.model_uid) from None
    # orjson writes `null` for a float that is no number, which the server takes for a parameter left alone.
    if b"null" in body and (place := _first_without_number(request.json)) is not None:
        place = _in_call(place, request)
        msg = f"{place} is NaN or infinite, which cannot be sent as JSON; it was not sent"
        raise XinferenceBadRequestError(msg, model_uid=request.model_uid)
    return body


def _in_call(place: str | None, request: Request) -> str | None:
    """Number an input by its place in the call, not in its batch: input 3 of a batch that began at 64 is input 67."""
    if place is None or not request.first_input:
        return place
    return re.sub(r"^input\[(\d+)\]", lambda found: f"input[{int(found[1]) + request.first_input}]", place)


def _first_without_number(value: Any, place: str = "") -> str | None:
    """Where the first float stands that is none."""
    kind = type(value)
    if kind is str:
        return None
    if kind is float:
        return None if math.isfinite(value) else place
    if not isinstance(value, (Mapping, list, tuple)):
        return None
    for name, item in _inside(value, place):
        if type(item) is not str and (found := _first_without_number(item, name)) is not None:
            return found
    return None


def _inside(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...], place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return ((f"{place}.{key}" if place else str(key), item) for key, item in value.items())
    return ((f"{place}[{index}]", item) for index, item in enumerate(value))


def _first_unencodable(value: Any, place: str = "") -> str | None:
    """Where the first value stands that orjson refuses: a lone surrogate, a number beyond 64 bits, an object."""
    if not isinstance(value, (Mapping, list, tuple)):
        return None if _encodable(value) else place
    return next((found for name, item in _inside(value, place) if (found := _first_unencodable(item, name))), None)


def _encodable(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True
