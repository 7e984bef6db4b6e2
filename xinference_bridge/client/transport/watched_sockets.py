"""Sockets of `requests` whose every read is watched: by a deadline, and by how much comes that is no body.

urllib3 bounds each read alone, so that a server which sends a byte a second outlives every timeout, in the status
line, the headers, the size of a chunk or the trailers. All of these are read through one `readinto`, and the watch
stands there: no thread, and nothing to pay for a call without a deadline but an addition.
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

#: A server that had closed a pooled socket is noticed at once; one that hangs up later has read the request.
_STALE_WITHIN = 1.0


class TooMuchOverhead(http.client.HTTPException):
    """An answer floods its reader with what is no body."""


class Watch:
    """Bounds the exchange of one call on one socket."""

    __slots__ = ("at_end", "began", "ends_at", "overhead", "received", "reused", "timeout")

    def __init__(self, timeout: float | None, left: float | None) -> None:
        self.began = time.monotonic()
        self.timeout = timeout
        """Seconds that one read may take."""
        self.ends_at = None if left is None else self.began + left
        """When the last read ends, on the monotonic clock."""
        self.overhead = 0
        """Bytes received since the last of the body."""
        self.received = False
        """Whether a byte came."""
        self.at_end = False
        """Whether the server closed its side."""
        self.reused = False
        """Whether the socket had carried an exchange before this one."""

    def next_wait(self) -> float | None:
        """Return the seconds that the next read or write may take.

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
        """Let the reads that are left take no longer than this together."""
        end = time.monotonic() + seconds
        self.ends_at = end if self.ends_at is None else min(end, self.ends_at)

    def found_stale(self) -> bool:
        """Return whether a hang-up now means that the server had closed the pooled socket before the request came."""
        return self.reused and not self.received and time.monotonic() - self.began < _STALE_WITHIN


class WatchTimeout(urllib3.Timeout):
    """What carries a watch through `requests` and urllib3 to the socket."""

    def __init__(self, watch: Watch, connect: float | None) -> None:
        super().__init__(connect=connect, read=watch.next_wait())
        self.watch = watch

    def clone(self) -> WatchTimeout:
        """Return one with its own clock, as urllib3 wants for each request."""
        twin = WatchTimeout(self.watch, self._connect)  # type: ignore[arg-type] # as it was given
        twin._read = self._read
        return twin


class WatchedAdapter(HTTPAdapter):
    """An adapter whose pools watch their sockets; it takes a `WatchTimeout`."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


#: urllib3 hands the timeout of a call to `_make_request` alone.
_watch_of_call: ContextVar[Watch] = ContextVar("xinference_bridge_watch")


class _WatchedPool:
    """What both pools add to urllib3's. The class of a connection stays theirs: only objects are changed."""

    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        _watch_of_call.set(kwargs["timeout"].watch)
        return super().urlopen(*args, **kwargs)  # type: ignore[misc]

    def _prepare_proxy(self, conn: Any) -> None:
        # The tunnel is dug before `_make_request`, and a proxy's answer to CONNECT trickles as well as any.
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
            # urllib3 would send the request within connect_timeout, which is meant for less than an upload.
            conn.timeout = conn.watch.next_wait()


class _WatchedHTTPPool(_WatchedPool, HTTPConnectionPool):
    def _new_conn(self) -> Any:
        conn: Any = super()._new_conn()
        new_socket = conn._new_conn  # noqa: SLF001 - urllib3 has no public way

        def patient_socket() -> Any:
            sock = new_socket()
            sock.settimeout(conn.watch.next_wait())  # as in `_validate_conn`, for a socket that is made while sending
            return sock

        conn._new_conn = patient_socket  # noqa: SLF001 - as above
        return conn


class _WatchedHTTPSPool(_WatchedPool, HTTPSConnectionPool):
    pass


_POOLS = {"http": _WatchedHTTPPool, "https": _WatchedHTTPSPool}


class _WatchedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, watch: Watch, **kwargs: Any) -> None:
        self._watch = watch
        super().__init__(_WatchedSocket(sock, watch), *args, **kwargs)  # type: ignore[arg-type] # it takes makefile alone

    def begin(self) -> None:
        super().begin()
        while 100 <= self.status < 200 and self.status != 101:
            # http.client passes over 100 alone, and takes 103 Early Hints for the answer.
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        if self._watch.at_end:
            # Headers that are cut off are all there are to http.client: an answer of no length and no content.
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
