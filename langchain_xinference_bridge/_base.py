"""The base class of the LangChain classes: model, server, construction, copying, serialization."""

from __future__ import annotations

from collections.abc import Mapping
from operator import is_
from typing import Any, ClassVar, TypeVar

from langchain_core.load.serializable import Serializable
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, ValidationError
from typing_extensions import Self

from langchain_xinference_bridge.errors import translated_errors
from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.integration.connection_argument import connection_from
from xinference_bridge.integration.constructor_keywords import Keywords, require_model
from xinference_bridge.integration.parameter_types import unusable_fields
from xinference_bridge.models.base import ModelHandle
from xinference_bridge.version import __version__

Handle = TypeVar("Handle", bound=ModelHandle)

#: Aliases of fields that LangChain users know.
_ALIASES = {"model": "model_uid", "base_url": "server_url", "headers": "default_headers"}


class ResolvedUrl(str):
    """An address that did not come from the caller: a connection that is set later overrides it."""

    __slots__ = ()


class ResolvedKey(SecretStr):
    """A key that did not come from the caller: it belongs only to the server it was resolved with."""


class XinferenceFields(Serializable):
    """The model and its server. Building one makes no network call.

    A setting passed here overrides the connection's, which overrides the environment's (`XINFERENCE_ENDPOINT`,
    `XINFERENCE_API_KEY`, …). Pickles and copies keep the settings; `repr` and `dumpd` leave the secrets out.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=(), hide_input_in_errors=True)

    model_uid: str
    """The UID of the running model, as `xinference list` prints it. `model=` is an alias."""
    connection: XinferenceConnection | None = Field(default=None, exclude=True, repr=False)
    """The connection, shared with other models. None: from the fields below and the environment."""
    server_url: str | None = None
    """The server's URL, in any common form."""
    api_key: SecretStr | None = Field(default=None, repr=False)
    """An API key of the server."""
    timeout: float | None = None
    """Maximum seconds to wait for the next byte from the server. None: the connection's."""
    max_retries: int | None = None
    """Maximum retries after a transient failure. None: the connection's."""
    default_headers: Mapping[str, str] | None = Field(default=None, exclude=True, repr=False)
    """Extra headers for every request, in addition to the connection's. `headers=` is an alias. Kept secret."""
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Other parameters of the server, passed through unchanged."""

    #: Server parameters without a field: accepted by name and kept in `model_kwargs`.
    _known_to_server: ClassVar[frozenset[str]] = frozenset()
    #: Fields for which None has a meaning and is not the default.
    _none_is_said: ClassVar[frozenset[str]] = frozenset()
    #: Whether an unknown keyword is sent on with a warning, as the older packages' constructors want it.
    _unknown_is_sent: ClassVar[bool] = False

    _resolved: tuple[tuple[Any, ...], XinferenceConnection] | None = PrivateAttr(default=None)

    def __init__(
        self,
        server_url: str | None = None,
        model_uid: str | None = None,
        api_key: SecretStr | str | None = None,
        **settings: Any,
    ) -> None:
        stated = {"server_url": server_url, "model_uid": model_uid, "api_key": api_key}
        settings.update({name: value for name, value in stated.items() if value is not None})
        with translated_errors:
            settings = self._sorted(settings)
            connection = _connection_of(settings)
            if settings.get("connection") is not None:
                settings = {name: value for name, value in settings.items() if not _was_resolved(value)}
            try:
                super().__init__(**settings)
            except ValidationError as invalid:
                raise unusable_fields(type(self).__name__, invalid) from None
        if self.connection is None:
            self._show(connection)
        self._resolved = (self._stated(), connection)

    def model_post_init(self, context: Any, /) -> None:
        """Record this package's version for traces, where langchain-core records its own."""
        # Without this method, pydantic's own for private attributes would hide that of langchain-core.
        super().model_post_init(context)
        add_version = getattr(self, "_add_version", None)
        if add_version is not None:  # older versions of langchain-core have no such method
            add_version("xinference-bridge", __version__)

    def _show(self, connection: XinferenceConnection) -> None:
        """Set the server and the key as fields, so that the serialized model has its server and a secret."""
        mine = self.__dict__
        if mine["server_url"] is None or _was_resolved(mine["server_url"]):
            mine["server_url"] = ResolvedUrl(connection.server_url)
        else:
            mine["server_url"] = connection.server_url
        if mine["api_key"] is None or _was_resolved(mine["api_key"]):
            key = connection.api_key
            mine["api_key"] = None if key is None else ResolvedKey(key.get_secret_value())
        else:
            mine["api_key"] = connection.api_key

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "connection":
            self._forget_what_was_resolved()

    def _forget_what_was_resolved(self) -> None:
        if self.connection is not None:
            for name in ("server_url", "api_key"):
                if _was_resolved(self.__dict__[name]):
                    self.__dict__[name] = None

    @classmethod
    def _sorted(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Return the keywords by field name. Raise XinferenceConfigurationError for a misspelled one."""
        keywords = Keywords(cls.__name__, cls.model_fields, _ALIASES, cls._known_to_server, cls._unknown_is_sent)
        settings = keywords.sorted_out(given)
        settings.update({name: None for name in cls._none_is_said if name in given and given[name] is None})
        require_model(cls.__name__, settings, first="server_url")
        return settings

    @property
    def model(self) -> str:
        """The model's UID, under the name that other LangChain classes use.

        Examples:
            >>> from langchain_xinference_bridge import XinferenceEmbeddings
            >>> XinferenceEmbeddings(model="minilm").model
            'minilm'
        """
        return self.model_uid

    @property
    def model_name(self) -> str:
        """The model's UID, under the name that tracing tools use.

        Examples:
            >>> from langchain_xinference_bridge import ChatXinference
            >>> ChatXinference(model="m").model_name
            'm'
        """
        return self.model_uid

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed.

        Args:
            update: New values by field name, not validated.
            deep: Whether to copy the field values too.

        Returns:
            The copy. This object does not change.

        Examples:
            >>> from langchain_xinference_bridge import XinferenceEmbeddings
            >>> XinferenceEmbeddings(model="a").model_copy(update={"batch_size": 8}).batch_size
            8
        """
        copied = super().model_copy(update=update, deep=deep)
        # LangChain's cache uses the serialized model as its key: a copy would find the answers of the original.
        copied.__dict__.pop("_serialized", None)
        copied._forget_what_was_resolved()  # noqa: SLF001 - the same class
        return copied

    def _stated(self) -> tuple[Any, ...]:
        return (
            self.connection,
            self.server_url,
            self.api_key,
            self.timeout,
            self.max_retries,
            self.default_headers,
        )

    def _connection(self) -> XinferenceConnection:
        """The connection for this model's calls, rebuilt if a copy changed one of its fields."""
        stated = self._stated()
        # Not `self._resolved`, which pydantic resolves in Python: half of the time of this property.
        resolved = (self.__pydantic_private__ or {}).get("_resolved")
        if resolved is None or not all(map(is_, stated, resolved[0])):
            names = ("connection", "server_url", "api_key", "timeout", "max_retries", "default_headers")
            resolved = self._resolved = (stated, _connection_of(dict(zip(names, stated, strict=True))))
        connection: XinferenceConnection = resolved[1]
        return connection

    def _handle(self, kind: type[Handle], uid: str | None = None) -> Handle:
        """Return the handle of this model, or of the model that a call names."""
        return kind(self._connection(), uid or self.model_uid)

    # LangChain's serialization

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: LangChain's `dumpd` serializes this object, without its secrets.

        Returns:
            True.

        Examples:
            >>> from langchain_xinference_bridge import ChatXinference
            >>> ChatXinference.is_lc_serializable()
            True
        """
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The secret fields, each with the environment variable that replaces it in serialized form.

        Examples:
            >>> from langchain_xinference_bridge import ChatXinference
            >>> ChatXinference(model="m").lc_secrets
            {'api_key': 'XINFERENCE_API_KEY'}
        """
        return {"api_key": "XINFERENCE_API_KEY"}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """What the serialized form has beside the fields: the model as `model`, and the connection's URL and key.

        Examples:
            >>> from langchain_xinference_bridge import ChatXinference, XinferenceConnection
            >>> connection = XinferenceConnection("http://example.org:9997", api_key="sk-secret")
            >>> ChatXinference(model="m", connection=connection).lc_attributes
            {'model': 'm', 'server_url': 'http://example.org:9997', 'api_key': SecretStr('**********')}
        """
        # OpenLLMetry reads the model from here, under this name.
        attributes: dict[str, Any] = {"model": self.model_uid}
        if self.connection is None:
            return attributes
        connection = self._connection()
        attributes["server_url"] = connection.server_url
        if connection.api_key is not None:
            attributes["api_key"] = connection.api_key
        return attributes


def _was_resolved(value: Any) -> bool:
    return isinstance(value, (ResolvedUrl, ResolvedKey))


def _connection_of(settings: Mapping[str, Any]) -> XinferenceConnection:
    connection, server_url, api_key = settings.get("connection"), settings.get("server_url"), settings.get("api_key")
    if connection is not None:
        # A key stays with its server: a key from the environment does not belong to an explicit connection.
        server_url = None if _was_resolved(server_url) else server_url
        api_key = None if _was_resolved(api_key) else api_key
    return connection_from(
        connection,
        server_url=server_url,
        api_key=api_key,
        timeout=settings.get("timeout"),
        max_retries=settings.get("max_retries"),
        headers=settings.get("default_headers"),
    )


def taken_uid(parameters: dict[str, Any], default: str) -> str:
    """Remove the model that a call names from its keywords and return it, or the default.

    Raises XinferenceConfigurationError if it is not a non-empty string.
    """
    if not parameters:
        return default
    named = {name: parameters.pop(name, None) for name in ("model", "model_uid")}
    for name, uid in named.items():
        if uid is not None and (not isinstance(uid, str) or not uid.strip()):
            shown = "an empty string" if isinstance(uid, str) else type(uid).__name__
            msg = f"{name} must be the UID of a running model, got {shown}. Leave it out for {default!r}."
            raise XinferenceConfigurationError(msg)
    return next((uid for uid in named.values() if uid is not None), default)
