"""Extensions of aiohttp's classes. Imported with aiohttp on first use."""

from __future__ import annotations

from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError

from xinference_bridge.client.transport.socket_history import carried_before
from xinference_bridge.protocol.body import MOST_OVERHEAD

#: Maximum interim responses (100 Continue, 103 Early Hints) before the final one.
MOST_INTERIM = 32


class Connector(aiohttp.TCPConnector):
    """A pool of sockets that record whether they were used and count bytes outside of the body."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._factory: Any = partial(BoundedHandler, loop=self._loop)

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Return a socket, pooled or new; `carried_before` says which."""
        connection = await super().connect(*args, **kwargs)
        protocol: Any = connection.protocol
        carried_before.set(protocol.carried_before)
        protocol.carried_before = True
        protocol.overhead = 0
        return connection

    def _release(self, key: Any, protocol: Any, **settings: Any) -> None:
        # `close()` lets the calls in flight finish. aiohttp then keeps their sockets open, because it assumes that a
        # closed pool has closed its sockets in use too (3.14.5).
        if self._closed:
            protocol.close()
        else:
            super()._release(key, protocol, **settings)


class BoundedHandler(ResponseHandler):
    """A socket that limits blank lines, chunk extensions and trailers."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.carried_before = False
        """Whether the socket has carried an exchange."""
        self._stalled: Any = None  # the timer of an upload that the server does not read
        self.overhead = 0
        """Bytes received since the last bytes of the body; negative during a body of known length."""

    def pause_writing(self) -> None:
        """Wait until the server reads again, at most `timeout`. aiohttp does not limit uploads (3.14.5)."""
        super().pause_writing()
        if self._read_timeout:
            self._stalled = self._loop.call_later(self._read_timeout, self.abort_with, aiohttp.SocketTimeoutError())

    def resume_writing(self) -> None:
        """Resume writing after the server has read."""
        self._read_on()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the exchange."""
        self._read_on()
        super().connection_lost(exc)

    def _read_on(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def data_received(self, data: bytes) -> None:
        """Accept the received bytes, up to the limit."""
        self.overhead += len(data)
        if self.overhead > MOST_OVERHEAD:
            self.abort_with(HttpProcessingError(message=f"more than {MOST_OVERHEAD} bytes around its body"))
        else:
            super().data_received(data)

    def close(self) -> None:
        """Close the socket without sending the rest of a failed request.

        aiohttp's `close` waits for a server that no longer reads, and keeps the socket until the loop ends (3.14.5).
        """
        transport: Any = self.transport
        super().close()
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()

    def abort_with(self, error: Exception) -> None:
        """End the exchange with this error."""
        payload: Any = self._payload
        self.set_exception(error)
        if payload is not None:
            payload.set_exception(error)
        if self.transport is not None:
            self.transport.abort()


class BoundedResponse(aiohttp.ClientResponse):
    """A response with a limit on interim responses.

    aiohttp skips any number of them, and after the first one it no longer enforces `sock_read`: a server that sends
    100 Continue and then nothing made a call hang forever (3.14.5).
    """

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        """Read the head of the response."""
        protocol = connection.protocol
        read = protocol.read
        left = MOST_INTERIM

        async def read_bounded() -> Any:
            nonlocal left
            message, payload = await read()
            if 100 <= message.code < 200 and message.code != 101:
                left -= 1
                if not left:
                    raise HttpProcessingError(message=f"more than {MOST_INTERIM} interim answers")
                protocol.start_timeout()
            return message, payload

        protocol.read = read_bounded
        try:
            return await super().start(connection)
        finally:
            del protocol.read
