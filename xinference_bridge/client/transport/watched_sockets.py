"""Sockets for `requests` with a deadline and a limit on bytes outside of the body.

urllib3 limits each read separately, so a server that sends one byte per second never times out, in the status
line, the headers, the chunk sizes or the trailers. All of these are read through one `readinto`, which is where
the check is: no thread, and no cost without a deadline except an addition.
"""

from __future__ import annotations

import http.client
import io
import time
from contextvars import ContextVar
from functools import partial
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from xinference_bridge.protocol.body import MOST_OVERHEAD

#: A pooled socket that was already closed fails immediately. If it fails later, the server has read the request.
_STALE_WITHIN = 1.0


class TooMuchOverhead(http.client.HTTPException):
    """A response has too many bytes outside of its body."""


class Watch:
    """The limits of one exchange on one socket."""

    __slots__ = ("at_end", "began", "ends_at", "overhead", "received", "reused", "timeout")

    def __init__(self, timeout: float | None, left: float | None) -> None:
        self.began = time.monotonic()
        self.timeout = timeout
        """Maximum seconds of one read."""
        self.ends_at = None if left is None else self.began + left
        """The deadline, on the monotonic clock."""
        self.overhead = 0
        """Bytes received since the last bytes of the body."""
        self.received = False
        """Whether any byte has arrived."""
        self.at_end = False
        """Whether the server closed its side."""
        self.reused = False
        """Whether the socket was used before this exchange."""

    def next_wait(self) -> float | None:
        """Return the maximum seconds of the next read or write.

        Raises:
            TimeoutError: None are left.
        """
        if self.ends_at is None:
            return self.timeout
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left if self.timeout is None or left < self.timeout else self.timeout

    def end_within(self, seconds: float) -> None:
        """Limit the remaining reads to this total."""
        end = time.monotonic() + seconds
        self.ends_at = end if self.ends_at is None else min(end, self.ends_at)

    def found_stale(self) -> bool:
        """Return whether the server had closed the pooled socket before the request arrived."""
        return self.reused and not self.received and time.monotonic() - self.began < _STALE_WITHIN


class WatchTimeout(urllib3.Timeout):
    """Passes the limits through `requests` and urllib3 to the socket."""

    def __init__(self, watch: Watch, connect: float | None) -> None:
        super().__init__(connect=connect, read=watch.next_wait())
        self.watch = watch

    def clone(self) -> WatchTimeout:
        """Return a copy with its own clock, as urllib3 requires for each request."""
        twin = WatchTimeout(self.watch, self._connect)  # type: ignore[arg-type] # the original argument
        twin._read = self._read
        return twin


class WatchedAdapter(HTTPAdapter):
    """An adapter whose pools limit their sockets. Accepts a `WatchTimeout`."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


#: urllib3 passes the timeout of a call only to `_make_request`.
_watch_of_call: ContextVar[Watch] = ContextVar("xinference_bridge_watch")


class _WatchedPool:
    """The common code of both pools. It changes only connection objects, not urllib3's classes."""

    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        _watch_of_call.set(kwargs["timeout"].watch)
        return super().urlopen(*args, **kwargs)  # type: ignore[misc]

    def _prepare_proxy(self, conn: Any) -> None:
        # The tunnel is opened before `_make_request`, and a proxy may answer CONNECT byte by byte too.
        conn.watch = _watch_of_call.get()
        conn.response_class = partial(_WatchedResponse, watch=conn.watch)
        super()._prepare_proxy(conn)  # type: ignore[misc]

    def _make_request(self, conn: Any, *args: Any, **kwargs: Any) -> Any:
        watch: Watch = kwargs["timeout"].watch
        watch.reused = getattr(conn, "sock", None) is not None
        conn.watch = watch
        conn.response_class = partial(_WatchedResponse, watch=watch)
        return super()._make_request(conn, *args, **kwargs)  # type: ignore[misc]

    def _validate_conn(self, conn: Any) -> None:
        super()._validate_conn(conn)  # type: ignore[misc]
        if getattr(conn, "sock", None) is not None:
            # urllib3 applies connect_timeout to sending the request too, which is too short for an upload.
            conn.timeout = conn.watch.next_wait()


class _WatchedHTTPPool(_WatchedPool, HTTPConnectionPool):
    def _new_conn(self) -> Any:
        conn: Any = super()._new_conn()
        new_socket = conn._new_conn  # noqa: SLF001 - urllib3 has no public way

        def patient_socket() -> Any:
            sock = new_socket()
            try:
                sock.settimeout(conn.watch.next_wait())  # as in `_validate_conn`, for a socket made while sending
            except TimeoutError:
                sock.close()  # nothing else refers to it yet
                raise
            return sock

        conn._new_conn = patient_socket  # noqa: SLF001 - as above
        return conn


class _WatchedHTTPSPool(_WatchedPool, HTTPSConnectionPool):
    pass


_POOLS = {"http": _WatchedHTTPPool, "https": _WatchedHTTPSPool}


class _WatchedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, watch: Watch, **kwargs: Any) -> None:
        self._watch = watch
        super().__init__(_WatchedSocket(sock, watch), *args, **kwargs)  # type: ignore[arg-type] # only makefile is used

    def begin(self) -> None:
        super().begin()
        while 100 <= self.status < 200 and self.status != 101:
            # http.client skips only 100, and treats 103 Early Hints as the final response.
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        if self._watch.at_end:
            # http.client treats truncated headers as complete: a response without length and content.
            raise http.client.IncompleteRead(b"")


class _WatchedSocket:
    def __init__(self, sock: Any, watch: Watch) -> None:
        self._sock = sock
        self._watch = watch

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(_WatchedReads(self._sock, self._watch))


class _WatchedReads(io.RawIOBase):
    def __init__(self, sock: Any, watch: Watch) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._watch = watch

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        watch = self._watch
        if watch.ends_at is not None:
            self._sock.settimeout(watch.next_wait())
        taken: int | None = self._raw.readinto(buffer)
        if taken:
            watch.received = True
            watch.overhead += taken
            if watch.overhead > MOST_OVERHEAD:
                raise TooMuchOverhead(f"more than {MOST_OVERHEAD} bytes around its body")
        else:
            watch.at_end = True
        return taken

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()
