"""One call on its way: its request ready to send, its id, and how long it may still take. Serves both transports."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from xinference_bridge import failures
from xinference_bridge.errors import XinferenceBadRequestError, XinferenceTimeoutError
from xinference_bridge.version import USER_AGENT
from xinference_bridge.wire import DEFAULT_OPTIONS, CallOptions, Request

if TYPE_CHECKING:
    from yarl import URL

    from xinference_bridge.connection import XinferenceConnection

_SHORTEST_WAIT = 0.001


class Call:
    """One request under one connection, with what this call states differently."""

    __slots__ = (
        "_connection_headers",
        "_deadline_at",
        "body",
        "connect_timeout",
        "deadline",
        "max_retries",
        "renewed",
        "request",
        "request_id",
        "resent",
        "timeout",
        "url",
    )

    def __init__(
        self, connection: XinferenceConnection, request: Request, options: CallOptions = DEFAULT_OPTIONS
    ) -> None:
        self.request = request
        self.url = connection.server_url + request.path
        self.body = encode(request) if request.json is not None else None
        # Named in the server's log and in our errors; the server echoes it, except on its plain-text 500s.
        self.request_id = os.urandom(16).hex()
        self.timeout = options.timeout if options.timeout is not None else connection.timeout
        self.connect_timeout = (
            options.connect_timeout if options.connect_timeout is not None else connection.connect_timeout
        )
        self.deadline = options.deadline if options.deadline is not None else connection.deadline
        self.max_retries = options.max_retries if options.max_retries is not None else connection.max_retries
        self._deadline_at = None if self.deadline is None else time.monotonic() + self.deadline
        self._connection_headers = connection.headers
        self.renewed = False
        self.resent = False

    def headers(self, authorization: str | None) -> dict[str, str]:
        """What is sent beside the body; the connection's own headers come last, and win."""
        headers = {
            "Accept": "application/json, text/event-stream",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
            "X-Request-ID": self.request_id,
        }
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        if authorization is not None:
            headers["Authorization"] = authorization
        headers.update(self.request.headers)
        if self._connection_headers:
            # By any spelling of the name: aiohttp would else send both, `Authorization` and `authorization`.
            stated = {name.lower() for name, _ in self._connection_headers}
            headers = {name: value for name, value in headers.items() if name.lower() not in stated}
            headers.update(self._connection_headers)
        return headers

    def encoded_url(self) -> URL:
        """The URL for aiohttp, which would else quote a quoted model UID once more."""
        from yarl import URL

        return URL(self.url, encoded=True)

    def remaining(self) -> float | None:
        """Seconds left of the deadline; None without one. Raises XinferenceTimeoutError when none are."""
        if self._deadline_at is None:
            return None
        left = self._deadline_at - time.monotonic()
        if left <= 0:
            raise failures.deadline_passed(self.url, self.deadline)
        return max(left, _SHORTEST_WAIT)

    def read_timeout(self) -> float | None:
        """Seconds to wait for the next byte: the timeout, or what is left of the deadline."""
        left = self.remaining()
        if left is None or (self.timeout is not None and self.timeout < left):
            return self.timeout
        return left

    def check_deadline(self) -> None:
        """Raise XinferenceTimeoutError when the deadline has passed."""
        if self._deadline_at is not None:
            self.remaining()

    def timed_out(self) -> XinferenceTimeoutError:
        """The error for a wait that ended without a byte: the timeout's, or the deadline's."""
        if self._deadline_at is not None and time.monotonic() >= self._deadline_at - 0.01:
            return failures.deadline_passed(self.url, self.deadline)
        return failures.read_timed_out(self.url, self.timeout, request_id=self.request_id)


def encode(request: Request) -> bytes:
    """The body as JSON. Raises XinferenceBadRequestError that names the place of what JSON cannot say."""
    try:
        body = orjson.dumps(request.json)
    except TypeError as refused:
        place = _first_unencodable(request.json)
        msg = f"{place or 'the request'} cannot be sent as JSON ({refused}); it was not sent"
        raise XinferenceBadRequestError(msg, model_uid=request.model_uid) from None
    # orjson writes `null` for a float that is no number, which the server takes for a parameter left alone.
    if b"null" in body and (place := _first_without_number(request.json)) is not None:
        msg = f"{place} is NaN or infinite, which cannot be sent as JSON; it was not sent"
        raise XinferenceBadRequestError(msg, model_uid=request.model_uid)
    return body


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
