"""One call: its request, its id and its remaining time. For both transports."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from xinference_bridge.client.tracing import add_trace_context
from xinference_bridge.client.transport.upload import FormUpload
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions, ConnectionSettings
from xinference_bridge.errors import XinferenceTimeoutError
from xinference_bridge.protocol import connection_errors
from xinference_bridge.protocol.http import Request
from xinference_bridge.protocol.json_body import encode
from xinference_bridge.version import USER_AGENT

if TYPE_CHECKING:
    from yarl import URL

_SHORTEST_WAIT = 0.001


class Budget:
    """The time limits of one operation, including description, token count, attempts and diagnosis.

    The deadline begins when the budget is created. `timeout` and `connect_timeout` limit each request.
    """

    __slots__ = ("_deadline_at", "connect_timeout", "deadline", "headers", "max_retries", "timeout")

    def __init__(
        self,
        timeout: float | None,
        connect_timeout: float | None,
        deadline: float | None,
        max_retries: int,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.timeout = timeout
        self.connect_timeout = connect_timeout
        self.deadline = deadline
        self.max_retries = max_retries
        self.headers = headers
        self._deadline_at = None if deadline is None else time.monotonic() + deadline

    @classmethod
    def of(cls, settings: ConnectionSettings, options: CallOptions = DEFAULT_OPTIONS) -> Budget:
        """Return the budget of one operation, from the call's options and the connection's settings."""
        return cls(
            options.timeout if options.timeout is not None else settings.timeout,
            options.connect_timeout if options.connect_timeout is not None else settings.connect_timeout,
            options.deadline if options.deadline is not None else settings.deadline,
            options.max_retries if options.max_retries is not None else settings.max_retries,
            options.headers,
        )

    def left(self) -> float | None:
        """Return the seconds until the deadline, negative if it has passed; None without one."""
        return None if self._deadline_at is None else self._deadline_at - time.monotonic()

    def for_a_look(self, seconds: float) -> Budget | None:
        """Return a budget for one short request without retries within this one; None if no time is left."""
        left = self.left()
        if left is not None and left <= 0:
            return None
        seconds = seconds if left is None else min(seconds, left)
        timeout = seconds if self.timeout is None else min(seconds, self.timeout)
        return Budget(timeout, min(2.0, seconds), seconds, max_retries=0, headers=self.headers)


class Call:
    """One request of one connection, within a budget."""

    __slots__ = ("_connection_headers", "body", "budget", "renewed", "request", "request_id", "resent", "upload", "url")

    def __init__(self, settings: ConnectionSettings, request: Request, budget: Budget) -> None:
        self.request = request
        self.url = settings.server_url + request.path
        self.body = encode(request) if request.json is not None else None
        self.upload = FormUpload(request.form) if request.form is not None else None
        # In the server's log and in our errors. The server echoes it, except in its plain-text 500s.
        self.request_id = os.urandom(16).hex()
        self.budget = budget
        self._connection_headers = settings.headers
        self.renewed = False
        """Whether it was sent again with a renewed token."""
        self.resent = False
        """Whether it was sent again after a stale socket."""

    def headers(self, authorization: str | None) -> dict[str, str]:
        """Return the headers. The connection's override ours, and the call's override those."""
        headers = {
            "Accept": "application/json, text/event-stream",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
            "X-Request-ID": self.request_id,
        }
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        elif self.upload is not None:
            headers["Content-Type"] = self.upload.content_type
            headers["Content-Length"] = str(self.upload.length)
        if authorization is not None:
            headers["Authorization"] = authorization
        headers.update(self.request.headers)
        add_trace_context(headers)
        for pairs in (self._connection_headers, self.budget.headers):
            if pairs:
                # Case-insensitive: aiohttp would otherwise send both `Authorization` and `authorization`.
                stated = {name.lower() for name, _ in pairs}
                headers = {name: value for name, value in headers.items() if name.lower() not in stated}
                headers.update(pairs)
        return headers

    def encoded_url(self) -> URL:
        """Return the URL for aiohttp, which would otherwise quote a quoted model UID again."""
        from yarl import URL

        return URL(self.url, encoded=True)

    @property
    def connect_timeout(self) -> float | None:
        """Maximum seconds to wait for the connection to open."""
        return self.budget.connect_timeout

    def connect_patience(self) -> float | None:
        """Return the seconds to wait for the connection: connect_timeout or the remaining deadline."""
        left = self.remaining()
        patience = self.budget.connect_timeout
        return patience if left is None or (patience is not None and patience < left) else left

    def is_late(self) -> bool:
        """Return whether the deadline ended the wait that just ended."""
        left = self.budget.left()
        return left is not None and left <= _SHORTEST_WAIT * 10

    @property
    def deadline(self) -> float | None:
        """The deadline as given, in seconds from the start of the operation."""
        return self.budget.deadline

    def remaining(self) -> float | None:
        """Return the seconds until the deadline; None without one.

        Raises:
            XinferenceTimeoutError: None are left.
        """
        left = self.budget.left()
        if left is None:
            return None
        if left <= 0:
            raise self.deadline_passed()
        return max(left, _SHORTEST_WAIT)

    def read_timeout(self) -> float | None:
        """Return the seconds to wait for the next byte: the timeout or the remaining deadline."""
        left = self.remaining()
        timeout = self.budget.timeout
        if left is None or (timeout is not None and timeout < left):
            return timeout
        return left

    def deadline_passed(self) -> XinferenceTimeoutError:
        """Return the error for a deadline that has passed."""
        return connection_errors.deadline_passed(self.url, self.budget.deadline)

    def timed_out(self) -> XinferenceTimeoutError:
        """Return the error for a wait without a byte: for the timeout or the deadline."""
        if self.is_late():
            return self.deadline_passed()
        return connection_errors.read_timed_out(self.url, self.budget.timeout, request_id=self.request_id)
