"""What the handles of all kinds share: one model UID under one connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xinference_bridge.client.client import Client
from xinference_bridge.client.flow import Flow
from xinference_bridge.client.registry import client_for
from xinference_bridge.client.transport.call import Budget
from xinference_bridge.connection_settings import ConnectionSettings
from xinference_bridge.errors import XinferenceError, XinferencePermissionError, XinferenceProtocolError
from xinference_bridge.protocol.http import Response
from xinference_bridge.protocol.model_info import ModelInfo


class ModelHandle:
    """One running model. Cheap to make: nothing is asked before the first call."""

    __slots__ = ("connection", "uid")

    def __init__(self, connection: ConnectionSettings, uid: str) -> None:
        self.connection = connection
        self.uid = uid

    @property
    def _client(self) -> Client:
        return client_for(self.connection)

    def describe(self) -> ModelInfo:
        """Return the model's description, asked once for all who share the connection.

        Raises:
            XinferenceModelNotFoundError: No model runs under this UID.
            XinferencePermissionError: The credential may not look at it.
        """
        client = self._client
        known = client.running.known(self.uid)
        return client.run(client.running.describe(self.uid, client.budget())) if known is None else known

    async def adescribe(self) -> ModelInfo:
        """Async version of `describe`."""
        client = self._client
        known = client.running.known(self.uid)
        return await client.arun(client.running.describe(self.uid, client.budget())) if known is None else known

    def known_description(self) -> ModelInfo | None:
        """Return the description if it was asked already; asks nothing."""
        return self._client.running.known(self.uid)

    def _description_if_allowed(self, client: Client, budget: Budget) -> Flow[ModelInfo | None]:
        """Return the description, or None where the credential may use the model but not look at it."""
        try:
            return (yield from client.running.describe(self.uid, budget))
        except XinferencePermissionError:
            return None


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
