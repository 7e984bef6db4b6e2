"""The base class of the LlamaIndex classes: model, connection, construction, copying, serialization."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from llama_index.core.bridge.pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer

from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.environment import from_environment
from xinference_bridge.integration.connection_argument import connection_from
from xinference_bridge.integration.constructor_keywords import Keywords, require_model
from xinference_bridge.integration.parameter_types import unusable_fields
from xinference_bridge.models.base import ModelHandle
from xinference_bridge.protocol.http import JSON

Handle = TypeVar("Handle", bound=ModelHandle)

#: Keywords of the constructors that change the connection and are stored only there.
_OF_CONNECTION = ("server_url", "api_key", "timeout", "max_retries", "headers")
#: Aliases of keywords, from LlamaIndex and the older packages.
_ALIASES = {
    "model": "model_uid",
    "endpoint": "server_url",
    "base_url": "server_url",
    "default_headers": "headers",
    "context_length": "context_window",
    "additional_kwargs": "model_kwargs",
}


class ServedModelFields(BaseModel):
    """The model and its server. Building one makes no network call.

    A setting passed here overrides the connection's, which overrides the environment's (`XINFERENCE_ENDPOINT`,
    `XINFERENCE_API_KEY`, …). Copies and pickles contain the connection with its credentials. `to_dict` and `to_json`
    leave the credentials out; `from_dict` reads them from the environment.
    """

    model_config = ConfigDict(protected_namespaces=(), hide_input_in_errors=True)

    model_uid: str
    """The UID of the running model, as `xinference list` prints it. `model=` is an alias."""
    connection: XinferenceConnection = Field(repr=False)
    """The connection. Models with equal connections share sockets, the login and cached descriptions."""

    #: Server parameters without a field: accepted by name and kept in `model_kwargs`.
    _known_to_server: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, **settings: Any) -> None:
        # llama-index-core restores a pickled object by calling this with all its fields, and ignores errors.
        try:
            super().__init__(**self._resolved(settings))
        except ValidationError as invalid:
            raise unusable_fields(type(self).__name__, invalid) from None

    @classmethod
    def _resolved(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keywords as fields, with the connection built from those that belong to it."""
        keywords = Keywords(
            owner=cls.__name__,
            fields=(*cls.model_fields, *_OF_CONNECTION),
            aliases=_ALIASES,
            to_server=cls._known_to_server,
            unknown_is_sent=True,
        )
        stated = keywords.sorted_out(settings)
        require_model(cls.__name__, stated, first="model_uid")
        connection = stated.pop("connection", None)
        if isinstance(connection, Mapping):
            connection = XinferenceConnection(**connection)
        own = {name: stated.pop(name, None) for name in _OF_CONNECTION}
        return {**stated, "connection": connection_from(connection, **own)}

    @field_serializer("connection")
    def _connection_without_secrets(self, connection: XinferenceConnection) -> JSON:
        # The username is left out too, because from_dict would reject it without its password.
        told = connection.model_dump(mode="json", exclude={"username"}, exclude_defaults=True)
        # Settings from this machine's environment (the path of its CA bundle) do not apply on another machine.
        here = from_environment()
        told = {name: value for name, value in told.items() if here.get(name) != value}
        return {**told, "server_url": connection.server_url}

    def _handle(self, kind: type[Handle]) -> Handle:
        """Return the handle of this model."""
        return kind(self.connection, self.model_uid)

    def __getstate__(self) -> dict[str, Any]:
        # llama-index-core deletes what cannot be pickled from the object that it is given: here, from a copy.
        state: dict[str, Any] = super(ServedModelFields, copy.copy(self)).__getstate__()
        return state

    # Fields of the older packages' classes

    @property
    def model(self) -> str:
        """The model's UID."""
        return self.model_uid

    @property
    def server_url(self) -> str:
        """The server's URL."""
        return self.connection.server_url

    @property
    def endpoint(self) -> str:
        """The server's URL, under its name in `llama-index-llms-xinference`."""
        return self.connection.server_url

    @property
    def base_url(self) -> str:
        """The server's URL, under its name in OpenAI's clients."""
        return self.connection.server_url

    @property
    def timeout(self) -> float | None:
        """Maximum seconds to wait for the next byte from the server."""
        return self.connection.timeout
