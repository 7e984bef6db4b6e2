"""The client of a connection: its transports, drivers and flows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import TypeVar

from xinference_bridge.client.async_driver import AsyncDriver
from xinference_bridge.client.authentication import Authentication
from xinference_bridge.client.description_cache import DescriptionCache
from xinference_bridge.client.flow import Flow
from xinference_bridge.client.launching import Launching
from xinference_bridge.client.request_flow import RequestFlow
from xinference_bridge.client.running_models import RunningModels
from xinference_bridge.client.streaming import (
    OpenedAnswer,
    OpenedSound,
    aread_deltas,
    aread_sound,
    read_deltas,
    read_sound,
)
from xinference_bridge.client.sync_driver import SyncDriver
from xinference_bridge.client.transport.aiohttp_transport import AiohttpTransport
from xinference_bridge.client.transport.call import Budget
from xinference_bridge.client.transport.requests_transport import RequestsTransport
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions, ConnectionSettings
from xinference_bridge.protocol.chat.result import ChatDelta
from xinference_bridge.protocol.http import Request, Response

Result = TypeVar("Result")


class Client:
    """The client for all connections with equal settings in this process. Safe for threads and event loops."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        self._sync = RequestsTransport(settings)
        self._async = AiohttpTransport(settings)
        self._sync_driver = SyncDriver(self._sync)
        self._async_driver = AsyncDriver(self._async)
        self._authentication = Authentication(settings)
        descriptions = DescriptionCache()
        self._fallbacks = [Client(other) for other in settings.fallbacks]
        self.requests = RequestFlow(settings, self._authentication, descriptions, self._fallbacks)
        """The flows of requests."""
        self.running = RunningModels(settings, self.requests, descriptions)
        """The running models."""
        self.launching = Launching(settings, _requests_as_administrator(settings, descriptions), descriptions)
        """Launches and terminates models on this server."""

    def budget(self, options: CallOptions = DEFAULT_OPTIONS) -> Budget:
        """Return the budget of one operation, whose deadline begins now."""
        return Budget.of(self.settings, options)

    def run(self, flow: Flow[Result]) -> Result:
        """Run a flow for a sync caller.

        Raises:
            XinferenceError: The flow failed.
        """
        return self._sync_driver.run(flow)

    async def arun(self, flow: Flow[Result]) -> Result:
        """Async version of `run`."""
        return await self._async_driver.run(flow)

    def stream(self, opening: Flow[OpenedAnswer]) -> Generator[ChatDelta, None, None]:
        """Open a stream on the first `next`, and yield its answer as it arrives; see `read_deltas`."""
        return read_deltas(self._sync_driver, self.requests, opening)

    def astream(self, opening: Flow[OpenedAnswer]) -> AsyncGenerator[ChatDelta, None]:
        """Async version of `stream`."""
        return aread_deltas(self._async_driver, self.requests, opening)

    def stream_sound(self, opening: Flow[OpenedSound]) -> Generator[bytes, None, None]:
        """Open an audio stream on the first `next`, and yield its bytes; see `read_sound`."""
        return read_sound(self._sync_driver, self.requests, opening)

    def astream_sound(self, opening: Flow[OpenedSound]) -> AsyncGenerator[bytes, None]:
        """Async version of `stream_sound`."""
        return aread_sound(self._async_driver, self.requests, opening)

    def send(self, request: Request, options: CallOptions = DEFAULT_OPTIONS) -> Response:
        """Return the server's answer to one request; see `RequestFlow.send`."""
        return self.run(self.requests.send(request, self.budget(options)))

    def drop_after_fork(self) -> None:
        """In a forked child: close its copies of the parent's idle sockets without sending anything."""
        self._sync.drop_after_fork()
        self._async.drop_after_fork()
        for other in self._fallbacks:
            other.drop_after_fork()

    def close(self) -> None:
        """Close every socket."""
        self._sync.close()
        self._async.abandon()
        for other in self._fallbacks:
            other.close()

    async def aclose(self) -> None:
        """Async version of `close`. This event loop's sockets are shut down properly."""
        self._sync.close()
        await self._async.aclose()
        for other in self._fallbacks:
            await other.aclose()


def _requests_as_administrator(settings: ConnectionSettings, descriptions: DescriptionCache) -> RequestFlow:
    """Return the flow of requests that change a server.

    They never go to a fallback server, where they would launch or terminate a different model. If both a login and a
    key are given, they use the login, because a key may not launch models.
    """
    login = settings.username is not None and settings.password is not None
    own = settings.model_copy(update={"api_key": None}) if login and settings.api_key is not None else settings
    return RequestFlow(own, Authentication(own), descriptions)
