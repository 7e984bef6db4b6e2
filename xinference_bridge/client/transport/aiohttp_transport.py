"""HTTP with aiohttp: the same methods as `requests_transport`, for async callers."""

from __future__ import annotations

import asyncio
import contextlib
import io
import ssl
import threading
import time
from collections.abc import AsyncIterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from xinference_bridge.client.transport import container
from xinference_bridge.client.transport.aiohttp_pool import AiohttpPool, close_below
from xinference_bridge.client.transport.socket_history import carried_before
from xinference_bridge.connection_settings import ConnectionSettings
from xinference_bridge.errors import XinferenceConfigurationError, XinferenceConnectionError, XinferenceError
from xinference_bridge.protocol import connection_errors
from xinference_bridge.protocol.body import BodyReader
from xinference_bridge.protocol.http import Response
from xinference_bridge.redaction import Secret, without_frames

if TYPE_CHECKING:
    import aiohttp

    from xinference_bridge.client.transport.call import Call

#: aiohttp warns about longer bytes (3.14.5).
_LARGE_BODY = 2**20
#: How long to wait for the end of a stream after `[DONE]`, so that its socket can be reused.
_GRACE_SECONDS = 0.2
#: A pooled socket that was already closed fails immediately. If it fails later, the server has read the request.
_STALE_WITHIN = 1.0


class AiohttpTransport:
    """The sockets of one connection for async callers: one pool for each running event loop."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, AiohttpPool] = WeakKeyDictionary()
        self._lock = threading.Lock()  # event loops in several threads change and iterate over the pools
        self._limit = settings.max_response_bytes
        proxy = settings.proxy_to_use()
        self._proxy = Secret(proxy) if proxy else None

    async def send(self, call: Call, authorization: str | None) -> Response:
        """Return the complete response, with any status. Raise XinferenceConnectionError or XinferenceTimeoutError."""
        stream = await self.stream(call, authorization)
        try:
            return await stream.read()
        except BaseException:  # a cancelled caller: the socket is closed
            stream.close()
            raise

    async def stream(self, call: Call, authorization: str | None) -> AiohttpStream:
        """Return the response's head and the stream of its bytes."""
        pool = self._open_one() or await self._open_pool()
        answer = await self._open(pool, call, authorization)
        try:
            return AiohttpStream(answer, call, self._limit)
        except XinferenceError:
            answer.close()
            raise

    async def _open(self, pool: AiohttpPool, call: Call, authorization: str | None) -> aiohttp.ClientResponse:
        import aiohttp

        began = time.monotonic()
        carried_before.set(False)
        sending = call.upload.attempt(call.remaining) if call.upload is not None else None
        opening = pool.session.request(
            call.request.method,
            call.encoded_url(),
            data=_sendable(call.body) if sending is None else sending,
            headers=call.headers(authorization),
            allow_redirects=False,
            proxy=self._proxy,
            # The deadline limits everything: the wait for a pooled socket, and a slow body.
            timeout=_client_timeout(call.remaining(), call.connect_timeout, call.budget.timeout),
        )
        try:
            return await opening
        except aiohttp.ClientResponseError as failure:  # an invalid status line or header
            what_came = _one_line(failure.message)
        except _failures() as failure:
            if sending is not None and sending.failure is not None:
                raise sending.failure from None
            stale = carried_before.get() and time.monotonic() - began < _STALE_WITHIN
            raise _while_opening(call, failure, stale=stale) from without_frames(failure)
        # Raised here without its cause, which contains the request with its headers.
        raise connection_errors.not_http(call.url, what_came, request_id=call.request_id)

    def _open_one(self) -> AiohttpPool | None:
        pool = self._pools.get(asyncio.get_running_loop())
        return None if pool is None or pool.session.closed else pool

    async def _open_pool(self) -> AiohttpPool:
        # Nothing else in this event loop runs meanwhile, because opening does not await.
        pool = await AiohttpPool.open(self._settings)
        with self._lock:
            self._abandon_closed_loops()
            self._pools[asyncio.get_running_loop()] = pool
        return pool

    def _abandon_closed_loops(self) -> None:
        for loop, pool in list(self._pools.items()):
            if loop.is_closed():
                pool.abandon(loop)
                del self._pools[loop]

    async def aclose(self) -> None:
        """Shut down this event loop's sockets properly, and abandon those of other loops."""
        with self._lock:
            pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()
        self.abandon()

    def abandon(self) -> None:
        """Close every idle socket without waiting for its event loop, for a sync `close()`."""
        with self._lock:
            for loop, pool in list(self._pools.items()):
                pool.abandon(loop)
            self._pools.clear()

    def drop_after_fork(self) -> None:
        """In a forked child: close its copies of the idle sockets without touching the parent's event loops.

        A loop's selector is shared with the parent: removing a socket here would remove it there.
        """
        for pool in list(self._pools.values()):
            for transport in pool.idle():
                close_below(transport)


class AiohttpStream:
    """The bytes of one response as they arrive. Closing it or cancelling its reader closes the socket immediately."""

    def __init__(self, answer: aiohttp.ClientResponse, call: Call, limit: int | None) -> None:
        self._answer = answer
        self._call = call
        self.status = answer.status
        self.headers = answer.headers
        self.request_id = _request_id(answer, call)
        self._body = BodyReader(answer.headers, limit, call.url, self.request_id)
        # None when the response is complete and the socket went back to the pool.
        self._socket: Any = answer.connection.protocol if answer.connection is not None else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body, socket = self._body, self._socket
        try:
            async for data in self._answer.content.iter_any():
                if socket is not None:
                    socket.overhead = 0
                if content := body.feed(data):
                    yield content
        except _failures() as failure:
            raise _while_reading(self._call, failure) from without_frames(failure)
        body.end()

    async def read(self) -> Response:
        """Return the rest as one response, with any status."""
        return Response(self.status, await self._whole(), self.headers, self._call.url, self.request_id)

    async def _whole(self) -> bytes:
        try:
            if self._body.length is None:
                return b"".join([content async for content in self])
            if self._socket is not None:
                self._socket.overhead = -self._body.length
            return await self._answer.read()
        except _failures() as failure:
            raise _while_reading(self._call, failure) from without_frames(failure)
        except MemoryError:
            raise connection_errors.out_of_memory(self._call.url, request_id=self.request_id) from None

    async def finish(self, chunks: AsyncIterator[bytes]) -> None:
        """Async version of `RequestsStream.finish`."""
        with contextlib.suppress(XinferenceError, StopAsyncIteration, asyncio.TimeoutError):
            await asyncio.wait_for(chunks.__anext__(), _GRACE_SECONDS)

    def close(self) -> None:
        """Like `RequestsStream.close`; awaits nothing."""
        self._answer.close()


def _sendable(body: bytes | None) -> bytes | io.BytesIO | None:
    """Return the body for aiohttp. A large one is sent in pieces; otherwise aiohttp warns of a blocked event loop."""
    return io.BytesIO(body) if body is not None and len(body) > _LARGE_BODY else body


@lru_cache(maxsize=8)
def _client_timeout(total: float | None, connect: float | None, read: float | None) -> aiohttp.ClientTimeout:
    """Return the same object for equal numbers, which are the same for all calls without a deadline."""
    import aiohttp

    return aiohttp.ClientTimeout(total=total, sock_connect=connect, sock_read=read)


@cache
def _failures() -> tuple[type[BaseException], ...]:
    import aiohttp
    from aiohttp.http import HttpProcessingError

    return (aiohttp.ClientError, HttpProcessingError, TimeoutError, asyncio.TimeoutError, OSError)


def _while_opening(call: Call, failure: BaseException, *, stale: bool) -> XinferenceError:
    import aiohttp

    if isinstance(failure, aiohttp.ConnectionTimeoutError):
        if call.is_late():
            return call.deadline_passed()
        return connection_errors.connect_timed_out(
            call.url, call.connect_timeout, in_container=container.inside_container()
        )
    if isinstance(failure, (TimeoutError, asyncio.TimeoutError)):
        return call.timed_out()
    if isinstance(failure, (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError, ssl.SSLError)):
        return connection_errors.tls_failed(call.url, str(failure))
    if isinstance(failure, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError)):
        return XinferenceConnectionError(f"The proxy on the way to {call.url} does not answer.", url=call.url)
    if isinstance(failure, aiohttp.ClientConnectorError):
        return connection_errors.cannot_connect(
            call.url, str(failure.os_error), in_container=container.inside_container()
        )
    if isinstance(failure, aiohttp.InvalidURL):
        return XinferenceConfigurationError(f"{call.url} cannot be requested: {failure}", url=call.url)
    why = str(failure) or type(failure).__name__
    return connection_errors.hung_up(call.url, why, request_id=call.request_id, stale_socket=stale)


def _one_line(text: str) -> str:
    # aiohttp marks the position with a caret below it: "Invalid HTTP version:\n\n  b'SSH-…'\n    ^".
    return " ".join(text.replace("^", " ").split())


def _while_reading(call: Call, failure: BaseException) -> XinferenceError:
    from aiohttp.http import HttpProcessingError

    if isinstance(failure, (TimeoutError, asyncio.TimeoutError)):
        return call.timed_out()
    if isinstance(failure, HttpProcessingError):
        return connection_errors.not_http(call.url, failure.message, request_id=call.request_id)
    return connection_errors.cut_short(call.url, str(failure) or type(failure).__name__, request_id=call.request_id)


def _request_id(answer: aiohttp.ClientResponse, call: Call) -> str:
    return str(answer.headers.get("X-Request-ID") or call.request_id)
