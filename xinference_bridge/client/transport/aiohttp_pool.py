"""The sockets that async callers of one event loop share, and how to close them from any thread or loop."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xinference_bridge.connection_settings import ConnectionSettings
from xinference_bridge.errors import XinferenceConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import aiohttp

#: The server closes idle connections after 5 s; aiohttp would reuse one for 15 s.
_KEEP_IDLE_SECONDS = 4.0


class AiohttpPool:
    """An aiohttp session that closes when its event loop ends.

    It lives in an async generator, which `asyncio.run` closes through `shutdown_asyncgens`. A plain session for
    each loop caused 600 ResourceWarnings in 50 runs of `asyncio.run`.
    """

    session: aiohttp.ClientSession

    @classmethod
    async def open(cls, settings: ConnectionSettings) -> AiohttpPool:
        """Return the pool of the running event loop; awaits nothing that lets other tasks run."""
        pool = cls()
        pool._keeper = _keep_session(settings)
        pool.session = await pool._keeper.__anext__()
        return pool

    _keeper: AsyncGenerator[aiohttp.ClientSession, None]

    async def close(self) -> None:
        """Close all sockets, in their own event loop."""
        with contextlib.suppress(RuntimeError):  # its event loop is already closing it
            await self._keeper.aclose()

    def idle(self) -> list[asyncio.Transport]:
        """Return the transports of the sockets that carry no request."""
        connector = self.session.connector
        if connector is None:
            return []
        held = list(connector._conns.values())  # noqa: SLF001 - aiohttp has no public way
        return [transport for kept in held for protocol, *_ in kept if (transport := protocol.transport) is not None]

    def in_use(self) -> list[asyncio.Transport]:
        """Return the transports of the sockets that carry a request."""
        connector = self.session.connector
        acquired = [] if connector is None else list(connector._acquired)  # noqa: SLF001 - as above
        return [transport for protocol in acquired if (transport := protocol.transport) is not None]

    def abandon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close idle sockets. May be called in their event loop, outside of it, or after it has ended."""
        if loop.is_closed():
            for transport in (*self.idle(), *self.in_use()):
                close_below(transport)
            self._detach()
        elif _is_running_here(loop):
            self._abort()
        else:
            # Another thread's loop, or a stopped one, must close its own transports. A loop that never runs again
            # closes its sockets when it is garbage-collected.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        for transport in self.idle():
            transport.abort()
        self._detach()

    def _detach(self) -> None:
        connector = self.session.connector
        if connector is not None:
            connector._conns.clear()  # noqa: SLF001 - as above
            connector._closed = True  # noqa: SLF001 - as above
        self.session.detach()


def _is_running_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def close_below(transport: Any) -> None:
    """Close the socket of a transport whose event loop cannot do it; `abort` would call the loop."""
    inner = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None) or transport
    sock = getattr(inner, "_sock", None)
    if sock is not None:
        sock.close()
        inner._sock = None  # noqa: SLF001 - otherwise its destructor warns about the closed socket


async def _keep_session(settings: ConnectionSettings) -> AsyncGenerator[aiohttp.ClientSession, None]:
    import aiohttp

    from xinference_bridge.client.transport.aiohttp_connector import BoundedResponse, Connector

    session = aiohttp.ClientSession(
        connector=Connector(limit=settings.pool_size, keepalive_timeout=_KEEP_IDLE_SECONDS, ssl=_tls_context(settings)),
        response_class=BoundedResponse,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,  # it has no limit; BodyReader has
        read_bufsize=2**18,
    )
    try:
        yield session
    finally:
        await session.close()


def _tls_context(settings: ConnectionSettings) -> ssl.SSLContext | bool:
    if settings.server_url.startswith("http:"):
        return True
    if settings.verify is False and settings.cert is None:
        return False
    try:
        return _loaded_tls_context(settings)
    except OSError as failure:
        msg = f"verify= or cert= names a file that cannot be used: {failure}"
        raise XinferenceConfigurationError(msg, url=settings.server_url) from None


def _loaded_tls_context(settings: ConnectionSettings) -> ssl.SSLContext:
    import certifi

    # The same CA bundle as in the sync transport, not the system's.
    bundle = settings.verify if isinstance(settings.verify, str) else certifi.where()
    folder = bundle if Path(bundle).is_dir() else None
    context = ssl.create_default_context(cafile=None if folder else bundle, capath=folder)
    if settings.verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if isinstance(settings.cert, str):
        context.load_cert_chain(settings.cert)
    elif settings.cert is not None:
        context.load_cert_chain(*settings.cert)
    return context
