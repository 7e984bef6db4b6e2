"""The base class of all handles: one model UID on one connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from xinference_bridge.client.client import Client
from xinference_bridge.client.flow import Flow
from xinference_bridge.client.registry import client_for
from xinference_bridge.client.transport.call import Budget
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions, ConnectionSettings
from xinference_bridge.errors import (
    XinferenceError,
    XinferenceModelNotFoundError,
    XinferencePermissionError,
    XinferenceProtocolError,
)
from xinference_bridge.protocol.http import Request, Response
from xinference_bridge.protocol.media_failures import media_failure
from xinference_bridge.protocol.model_info import ModelInfo

if TYPE_CHECKING:
    from typing_extensions import Self

Result = TypeVar("Result")


class ModelHandle:
    """One running model. Building it makes no network call."""

    __slots__ = ("connection", "uid")

    def __init__(self, connection: ConnectionSettings, uid: str) -> None:
        self.connection = connection
        self.uid = uid

    @property
    def _client(self) -> Client:
        return client_for(self.connection)

    def _within(self, options: CallOptions, ask: Callable[[Self, Budget], Flow[Result]]) -> Flow[Result]:
        """Send a request to the model with this UID, or to the only one with this name.

        Caches the UID of a name for later calls. One budget limits everything.
        """
        budget = self._client.budget(options)
        return (yield from self._by_name(lambda handle: ask(handle, budget)))

    def _by_name(self, ask: Callable[[Self], Flow[Result]]) -> Flow[Result]:
        """Ask as `_within` does, for a verb that brings its budget along."""
        running = self._client.running
        uid = running.uid_of(self.uid)
        handle = self if uid == self.uid else type(self)(self.connection, uid)
        try:
            return (yield from ask(handle))
        except XinferenceModelNotFoundError as error:
            found = running.learn_name(self.uid, error)
            if found is None or found == uid:
                raise
        return (yield from ask(type(self)(self.connection, found)))

    def _run(self, options: CallOptions, ask: Callable[[Self, Budget], Flow[Result]]) -> Result:
        return self._client.run(self._within(options, ask))

    async def _arun(self, options: CallOptions, ask: Callable[[Self, Budget], Flow[Result]]) -> Result:
        return await self._client.arun(self._within(options, ask))

    def _send_media(self, request: Request, budget: Budget) -> Flow[Response]:
        """Send a request about sound or images; an opaque 500 becomes the error that it stands for."""
        try:
            return (yield from self._client.requests.send(request, budget))
        except XinferenceError as error:
            raise media_failure(error) from error.__cause__

    def describe(self) -> ModelInfo:
        """Return the model's description, which is fetched once per connection.

        Raises:
            XinferenceModelNotFoundError: No model runs under this UID.
            XinferencePermissionError: The credential may not read it.
        """
        known = self.known_description()
        return self._run(DEFAULT_OPTIONS, _describe_flow) if known is None else known

    async def adescribe(self) -> ModelInfo:
        """Async version of `describe`."""
        known = self.known_description()
        return await self._arun(DEFAULT_OPTIONS, _describe_flow) if known is None else known

    def describe_flow(self, budget: Budget) -> Flow[ModelInfo]:
        """Return the flow of `describe` for exactly this UID."""
        return self._client.running.describe(self.uid, budget)

    def known_description(self) -> ModelInfo | None:
        """Return the description if it is cached. Sends no request."""
        running = self._client.running
        return running.known(running.uid_of(self.uid))

    def _description_if_allowed(self, client: Client, budget: Budget) -> Flow[ModelInfo | None]:
        """Return the description, or None if the credential may use the model but not read its description."""
        try:
            return (yield from client.running.describe(self.uid, budget))
        except XinferencePermissionError:
            return None


def _describe_flow(handle: ModelHandle, budget: Budget) -> Flow[ModelInfo]:
    return handle.describe_flow(budget)


@contextmanager
def naming_request(response: Response, uid: str) -> Iterator[None]:
    """Add the request to the error for an invalid response, because the parsers see only JSON."""
    try:
        yield
    except XinferenceError as error:
        error.fill(url=response.url, model_uid=uid, request_id=response.request_id)
        if isinstance(error, XinferenceProtocolError):
            error.status_code = response.status
        raise
