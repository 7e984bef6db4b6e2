"""HTTP over aiohttp: the same verbs as `sync_transport`, awaited."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from xinference_bridge import failures
from xinference_bridge.errors import XinferenceConfigurationError, XinferenceConnectionError, XinferenceError
from xinference_bridge.settings import proxy_from_environment
from xinference_bridge.wire import Response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    import aiohttp

    from xinference_bridge.call import Call
    from xinference_bridge.connection import XinferenceConnection

#: The server closes idle connections after 5 s; aiohttp would offer one for 15.
_KEEP_IDLE_SECONDS = 4.0


class AsyncTransport:
    """The sockets of one connection for async callers, a pool for each running event loop."""

    def __init__(self, connection: XinferenceConnection) -> None:
        self._connection = connection
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()
        self._proxy = connection.proxy or proxy_from_environment(connection.server_url)

    @property
    def has_answered(self) -> bool:
        """Whether an exchange has succeeded in this loop, so that a pooled socket may have gone stale since."""
        pool = self._pools.get(asyncio.get_running_loop())
        return pool is not None and pool.has_answered

    async def send(self, call: Call, authorization: str | None) -> Response:
        """The whole answer, whatever its status. Raises XinferenceConnectionError or XinferenceTimeoutError."""
        answer, pool = await self._open(call, authorization)
        try:
            body = await answer.read()
        except _failures() as failure:
            answer.close()
            raise _while_reading(call, failure) from _without_frames(failure)
        except BaseException:  # a cancelled caller: the socket is closed, and with it the generation ends
            answer.close()
            raise
        pool.has_answered = True
        return Response(answer.status, body, _lower(answer.headers), call.url, _request_id(answer, call))

    async def stream(self, call: Call, authorization: str | None) -> AsyncStream:
        """The answer's head, with its bytes to come."""
        answer, pool = await self._open(call, authorization)
        pool.has_answered = True
        return AsyncStream(answer, call)

    async def _open(self, call: Call, authorization: str | None) -> tuple[aiohttp.ClientResponse, _Pool]:
        import aiohttp

        pool = await self._pool()
        try:
            answer = await pool.session.request(
                call.request.method,
                call.encoded_url(),
                data=call.body,
                headers=call.headers(authorization),
                allow_redirects=False,
                proxy=self._proxy,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=call.connect_timeout, sock_read=call.read_timeout()
                ),
            )
        except _failures() as failure:
            raise _while_opening(call, failure) from _without_frames(failure)
        return answer, pool

    async def _pool(self) -> _Pool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or pool.session.closed:
            self._abandon_closed_loops()
            pool = self._pools[loop] = await _Pool.open(self._connection)
        return pool

    def _abandon_closed_loops(self) -> None:
        for loop, pool in list(self._pools.items()):
            if loop.is_closed():
                pool.abandon()
                del self._pools[loop]

    async def aclose(self) -> None:
        """Close this loop's sockets with a proper goodbye, and abandon those of other loops."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()
        self.abandon()

    def abandon(self) -> None:
        """Close every socket without its event loop: what a sync `close()` can do."""
        for pool in self._pools.values():
            pool.abandon()
        self._pools.clear()


class _Pool:
    """An aiohttp session that closes itself when its event loop ends.

    It lives inside an async generator, which `asyncio.run` closes through `shutdown_asyncgens`. A plain session for
    each loop gave 600 ResourceWarnings over 50 runs of `asyncio.run`.
    """

    session: aiohttp.ClientSession

    def __init__(self) -> None:
        self.has_answered = False

    @classmethod
    async def open(cls, connection: XinferenceConnection) -> _Pool:
        pool = cls()
        pool._keeper = _keep_session(connection)
        pool.session = await pool._keeper.__anext__()
        return pool

    _keeper: AsyncGenerator[aiohttp.ClientSession, None]

    async def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop is closing it already
            await self._keeper.aclose()

    def abandon(self) -> None:
        connector = self.session.connector
        if connector is not None:
            # The transports belong to a loop that may be closed: only aborting works without it.
            for connections in list(connector._conns.values()):  # noqa: SLF001 - aiohttp has no public way
                for protocol, _ in connections:
                    if protocol.transport is not None:
                        with contextlib.suppress(RuntimeError):
                            protocol.transport.abort()
            connector._conns.clear()  # noqa: SLF001 - as above
            connector._closed = True  # noqa: SLF001 - as above
        self.session.detach()


async def _keep_session(connection: XinferenceConnection) -> AsyncGenerator[aiohttp.ClientSession, None]:
    import aiohttp

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connection.pool_size, keepalive_timeout=_KEEP_IDLE_SECONDS, ssl=_tls_context(connection)
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        read_bufsize=2**18,
    )
    try:
        yield session
    finally:
        await session.close()


def _tls_context(connection: XinferenceConnection) -> ssl.SSLContext | bool:
    if connection.verify is False and connection.cert is None:
        return False
    if connection.verify is True and connection.cert is None and connection.server_url.startswith("http:"):
        return True
    try:
        return _loaded_tls_context(connection)
    except OSError as failure:
        msg = f"verify= or cert= names a file that cannot be used: {failure}"
        raise XinferenceConfigurationError(msg, url=connection.server_url) from None


def _loaded_tls_context(connection: XinferenceConnection) -> ssl.SSLContext:
    import certifi

    # The same authorities as the sync transport trusts, not the system's.
    bundle = connection.verify if isinstance(connection.verify, str) else certifi.where()
    context = ssl.create_default_context(cafile=bundle)
    if connection.verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if isinstance(connection.cert, str):
        context.load_cert_chain(connection.cert)
    elif connection.cert is not None:
        context.load_cert_chain(*connection.cert)
    return context


class AsyncStream:
    """The bytes of one answer as they come. Closing it, or cancelling its reader, closes the socket at once."""

    def __init__(self, answer: aiohttp.ClientResponse, call: Call) -> None:
        self._answer = answer
        self._call = call
        self.status = answer.status
        self.headers = _lower(answer.headers)
        self.request_id = _request_id(answer, call)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.content.iter_any():
                self._call.check_deadline()
                yield chunk
        except _failures() as failure:
            raise _while_reading(self._call, failure) from _without_frames(failure)

    async def read(self) -> Response:
        """The rest as one answer: how an error under a stream's URL is read."""
        body = b"".join([chunk async for chunk in self])
        return Response(self.status, body, self.headers, self._call.url, self.request_id)

    def close(self) -> None:
        """Give the socket back when the answer was read to its end, else close it, which ends the generation."""
        self._answer.close()


def _failures() -> tuple[type[BaseException], ...]:
    import aiohttp

    return (aiohttp.ClientError, TimeoutError, asyncio.TimeoutError, OSError)


def _while_opening(call: Call, failure: BaseException) -> XinferenceError:
    import aiohttp

    if isinstance(failure, (aiohttp.ConnectionTimeoutError,)):
        return failures.connect_timed_out(call.url, call.connect_timeout)
    if isinstance(failure, (TimeoutError, asyncio.TimeoutError)):
        return call.timed_out()
    if isinstance(failure, (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError, ssl.SSLError)):
        msg = (
            f"No secure connection to {call.url}: {failure}. verify= takes the CA bundle that signed the server's "
            "certificate; a server without TLS wants http:// in server_url."
        )
        return XinferenceConnectionError(msg, url=call.url, retryable=False)
    if isinstance(failure, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError)):
        return XinferenceConnectionError(f"The proxy on the way to {call.url} does not answer.", url=call.url)
    if isinstance(failure, aiohttp.ClientConnectorError):
        return failures.cannot_connect(call.url, str(failure.os_error))
    if isinstance(failure, aiohttp.InvalidURL):
        return XinferenceConfigurationError(f"{call.url} cannot be asked: {failure}", url=call.url)
    return failures.hung_up(call.url, str(failure) or type(failure).__name__, request_id=call.request_id)


def _while_reading(call: Call, failure: BaseException) -> XinferenceError:
    if isinstance(failure, (TimeoutError, asyncio.TimeoutError)):
        return call.timed_out()
    return failures.cut_short(call.url, str(failure) or type(failure).__name__, request_id=call.request_id)


def _without_frames(failure: BaseException) -> BaseException:
    """The cause without its frames, whose locals hold the credential."""
    failure.__context__ = None
    return failure.with_traceback(None)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _request_id(answer: aiohttp.ClientResponse, call: Call) -> str:
    return str(answer.headers.get("X-Request-ID") or call.request_id)
