"""The fields that all three classes share: which model, at which server; and how they are built, copied and written."""

from __future__ import annotations

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

#: Keywords of the constructors that change the connection, and are kept in it alone.
_OF_CONNECTION = ("server_url", "api_key", "timeout", "max_retries", "headers")
#: Other words for a keyword: those of LlamaIndex's users, and of the older packages.
_ALIASES = {
    "model": "model_uid",
    "endpoint": "server_url",
    "base_url": "server_url",
    "default_headers": "headers",
    "context_length": "context_window",
    "additional_kwargs": "model_kwargs",
}


class ServedModelFields(BaseModel):
    """Which model at which server. Building one makes no network call.

    A setting stated here comes before the connection's, and that before the environment's (`XINFERENCE_ENDPOINT`,
    `XINFERENCE_API_KEY`, …). Copies and pickles carry the connection with its credentials. `to_dict` and `to_json`
    leave the credentials out, and `from_dict` reads them from the environment again.
    """

    model_config = ConfigDict(protected_namespaces=(), hide_input_in_errors=True)

    model_uid: str
    """The UID of the running model, as `xinference list` prints it; `model=` is the same."""
    connection: XinferenceConnection = Field(repr=False)
    """The server and the credential. Models with equal connections share sockets, login and what is known of models."""

    #: Parameters of the server that have no field: taken by name, and kept in `model_kwargs`.
    _known_to_server: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, **settings: Any) -> None:
        # llama-index-core sets a pickled object's state by calling this again with all its fields, and swallows errors.
        try:
            super().__init__(**self._resolved(settings))
        except ValidationError as invalid:
            raise unusable_fields(type(self).__name__, invalid) from None

    @classmethod
    def _resolved(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The keywords as fields, the connection made of all that concern it."""
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
        # Of the two halves of a login the name is left out too: from_dict would have to refuse it without its password.
        told = connection.model_dump(mode="json", exclude={"username"}, exclude_defaults=True)
        # What this machine's environment adds (the path of its CA bundle) is not meant for the one that reads it.
        here = from_environment()
        told = {name: value for name, value in told.items() if here.get(name) != value}
        return {**told, "server_url": connection.server_url}

    def _handle(self, kind: type[Handle]) -> Handle:
        """Return the handle of this model."""
        return kind(self.connection, self.model_uid)

    # What the older packages' classes had as fields.

    @property
    def model(self) -> str:
        """The model's UID."""
        return self.model_uid

    @property
    def server_url(self) -> str:
        """The server's address."""
        return self.connection.server_url

    @property
    def endpoint(self) -> str:
        """The server's address, as `llama-index-llms-xinference` names it."""
        return self.connection.server_url

    @property
    def base_url(self) -> str:
        """The server's address, as OpenAI's clients name it."""
        return self.connection.server_url

    @property
    def timeout(self) -> float | None:
        """Seconds without a byte from the server before a call times out."""
        return self.connection.timeout
