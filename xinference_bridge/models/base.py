"""What the handles of all kinds share: one model UID under one connection."""

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
from xinference_bridge.protocol.http import Response
from xinference_bridge.protocol.model_info import ModelInfo

if TYPE_CHECKING:
    from typing_extensions import Self

Result = TypeVar("Result")


class ModelHandle:
    """One running model. Cheap to make: nothing is asked before the first call."""

    __slots__ = ("connection", "uid")

    def __init__(self, connection: ConnectionSettings, uid: str) -> None:
        self.connection = connection
        self.uid = uid

    @property
    def _client(self) -> Client:
        return client_for(self.connection)

    def _within(self, options: CallOptions, ask: Callable[[Self, Budget], Flow[Result]]) -> Flow[Result]:
        """Ask the model of this UID; where none runs under it, ask the only one that has it as its name.

        The UID is kept, so that later calls by the name begin with it. One budget bounds all of it.
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

    def describe(self) -> ModelInfo:
        """Return the model's description, asked once for all who share the connection.

        Raises:
            XinferenceModelNotFoundError: No model runs under this UID.
            XinferencePermissionError: The credential may not look at it.
        """
        known = self.known_description()
        return self._run(DEFAULT_OPTIONS, _describe_flow) if known is None else known

    async def adescribe(self) -> ModelInfo:
        """Async version of `describe`."""
        known = self.known_description()
        return await self._arun(DEFAULT_OPTIONS, _describe_flow) if known is None else known

    def describe_flow(self, budget: Budget) -> Flow[ModelInfo]:
        """Return the flow of `describe`, of this very UID."""
        return self._client.running.describe(self.uid, budget)

    def known_description(self) -> ModelInfo | None:
        """Return the description if it was asked already; asks nothing."""
        running = self._client.running
        return running.known(running.uid_of(self.uid))

    def _description_if_allowed(self, client: Client, budget: Budget) -> Flow[ModelInfo | None]:
        """Return the description, or None where the credential may use the model but not look at it."""
        try:
            return (yield from client.running.describe(self.uid, budget))
        except XinferencePermissionError:
            return None


def _describe_flow(handle: ModelHandle, budget: Budget) -> Flow[ModelInfo]:
    return handle.describe_flow(budget)


@contextmanager
def naming_request(response: Response, uid: str) -> Iterator[None]:
    """Name the request in the error of an answer that cannot be read: its readers see JSON alone."""
    try:
        yield
    except XinferenceError as error:
        error.fill(url=response.url, model_uid=uid, request_id=response.request_id)
        if isinstance(error, XinferenceProtocolError):
            error.status_code = response.status
        raise
