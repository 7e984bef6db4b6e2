"""The settings of a connection, as frozen values: where the server is, who asks, how long to wait."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from xinference_bridge.environment import ENVIRONMENT_NAMES, from_environment, proxy_from_environment
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.suggestions import did_you_mean

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What one call states differently from its connection; None is the connection's own."""

    timeout: float | None = None
    connect_timeout: float | None = None
    deadline: float | None = None
    max_retries: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """Headers of this call, before the connection's own of the same names."""


DEFAULT_OPTIONS = CallOptions()

DEFAULT_SERVER_URL = "http://127.0.0.1:9997"


def normalise_server_url(url: str) -> str:
    """Return the base URL of a server: with a scheme, without a trailing slash or `/v1`, with a host to connect to.

    Raises:
        XinferenceConfigurationError: It is no URL of a server, or holds a password.

    Examples:
        >>> normalise_server_url("0.0.0.0:9997/v1/")
        'http://127.0.0.1:9997'
    """
    text = url.strip()
    if not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", text):
        text = f"http://{text}"
    parts = urlsplit(text)
    _refuse_unusable(parts)
    # A server started with `-H 0.0.0.0` prints that address, but it names no host that can be called.
    host = parts.netloc.lower()  # one server, one connection, however its name is written
    host = re.sub(r"^0\.0\.0\.0(?=:|$)", "127.0.0.1", host)
    host = re.sub(r"^\[::\](?=:|$)", "[::1]", host)
    # People paste the OpenAI-style base, the docs page or the web page of the same server.
    path = re.sub(r"(/v1(/.*)?|/ui(/.*)?|/docs)?/*$", "", parts.path)
    return f"{parts.scheme.lower()}://{host}{path}"


def _refuse_unusable(parts: SplitResult) -> None:
    if parts.scheme.lower() not in {"http", "https"}:
        msg = f"server_url has the scheme {parts.scheme!r}; it takes http:// or https://, as in {DEFAULT_SERVER_URL}"
        raise XinferenceConfigurationError(msg)
    if "@" in parts.netloc:
        # Never repeated in the message: it is a password.
        msg = "server_url holds a user and a password; give them as username= and password= instead"
        raise XinferenceConfigurationError(msg)
    try:
        usable = bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", parts.netloc)
    except ValueError:
        usable = False
    if not usable:
        msg = f"server_url={parts.geturl()!r} names no host and port; it takes a URL such as {DEFAULT_SERVER_URL}"
        raise XinferenceConfigurationError(msg, url=parts.geturl())


def _as_pairs(value: Any) -> Any:
    # A tuple of pairs and not a dict, so that a connection can be hashed.
    return tuple((str(name), str(content)) for name, content in value.items()) if isinstance(value, Mapping) else value


def header_pairs(value: Any) -> Any:
    """Return headers as a tuple of pairs, which can be hashed.

    Raises:
        XinferenceConfigurationError: A name or a content cannot be sent.
    """
    pairs = _as_pairs(value)
    for name, content in pairs if isinstance(pairs, tuple) else ():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_TEXT.fullmatch(content):
            # The libraries' own errors repeat the content, which may be a key; other letters each writes its own way.
            msg = f"the header {name!r} cannot be sent: it takes a name without spaces, and printable ASCII"
            raise XinferenceConfigurationError(msg)
    return pairs


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


_HEADER_TEXT = re.compile(r"[\t\x20-\x7e]*")


def _as_secret(value: Any) -> Any:
    secret = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(secret, str) and secret and set(secret) == {"*"}:
        # A masked key comes back from a serialised object. Sent, it would count towards a ban.
        msg = "this secret is a row of asterisks, as a serialised object shows it; give the real one"
        raise XinferenceConfigurationError(msg)
    return value


def _as_key(value: Any) -> Any:
    _as_secret(value)
    secret = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(secret, str):
        return value
    key = secret.strip()  # a key out of a file ends in a newline
    if not key or not _HEADER_TEXT.fullmatch(key):
        # It would be refused while the header is written, by an error that repeats it.
        msg = "this key is empty, or has characters that no key has"
        raise XinferenceConfigurationError(msg)
    return SecretStr(key)


def _as_proxy(value: Any) -> Any:
    """Check a proxy's URL; without a scheme it is meant as http://. Errors never repeat it: it may hold a password."""
    if not isinstance(value, str) or not value:
        return value
    url = value.strip() if "://" in value else f"http://{value.strip()}"
    parts: SplitResult | None
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", url)
    except ValueError:
        parts, usable = None, False
    if parts is None or not usable:
        msg = "the proxy's URL names no host and port; it takes one such as http://proxy.example:3128"
        raise XinferenceConfigurationError(msg)
    if parts.scheme.lower() not in {"http", "https"}:
        msg = (
            f"the proxy has the scheme {parts.scheme!r}; HTTP proxies are supported, as http://proxy.example:3128. A "
            "SOCKS proxy that the environment names is left aside with NO_PROXY, or by proxy= of an HTTP one"
        )
        raise XinferenceConfigurationError(msg)
    return url


SecretSetting = Annotated[SecretStr, BeforeValidator(_as_secret)]
Key = Annotated[SecretStr, BeforeValidator(_as_key)]
ServerUrl = Annotated[
    str, BeforeValidator(lambda value: normalise_server_url(value) if isinstance(value, str) else value)
]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _refuse_misspelt(settings: Mapping[str, Any], model: type[BaseModel]) -> None:
    for name in settings:
        if name not in model.model_fields:
            msg = f"XinferenceConnection has no setting {name!r}{did_you_mean(name, model.model_fields)}"
            raise XinferenceConfigurationError(msg)


#: Settings that pydantic would make out of text, and of True: a caller who writes that is mistaken.
_EXACT: Mapping[str, tuple[str, tuple[type, ...]]] = {
    **dict.fromkeys(("timeout", "connect_timeout", "deadline"), ("a number", (int, float))),
    **dict.fromkeys(("max_retries", "max_concurrency", "pool_size", "max_response_bytes"), ("an integer", (int,))),
    "verify": ("true, false or a path", (bool, str)),
}


def _refuse_wrong_types(settings: Mapping[str, Any]) -> None:
    for name, (words, kinds) in _EXACT.items():
        value = settings.get(name)
        if value is not None and type(value) not in kinds:
            msg = f"XinferenceConnection: {name} must be {words}, got {type(value).__name__}"
            raise XinferenceConfigurationError(msg)


def _fallbacks_of(settings: Mapping[str, Any]) -> tuple[ConnectionSettings, ...]:
    given = settings["fallbacks"]
    if isinstance(given, (str, ConnectionSettings)) or not isinstance(given, Iterable):
        msg = "fallbacks= must be a list of URLs or connections: fallbacks=['http://second:9997']"
        raise XinferenceConfigurationError(msg)
    shared = {name: value for name, value in settings.items() if name not in _OF_ONE_SERVER}
    nobody = {"api_key": None, "username": None, "password": None}
    found = []
    for place, other in enumerate(given):
        if isinstance(other, str):
            found.append(ConnectionSettings(other, **nobody, **shared))
        elif isinstance(other, Mapping):
            found.append(ConnectionSettings(**{**nobody, **other}))
        elif isinstance(other, ConnectionSettings):
            found.append(other)
        else:
            msg = f"fallbacks[{place}] must be a URL or a connection, got {type(other).__name__}"
            raise XinferenceConfigurationError(msg)
        if found[-1].fallbacks:
            msg = f"fallbacks[{place}] has fallbacks of its own: give all servers in one list"
            raise XinferenceConfigurationError(msg)
    return tuple(found)


#: What a fallback given as a URL does not take over.
_OF_ONE_SERVER = frozenset({"server_url", "api_key", "username", "password", "fallbacks", "headers", "cert"})


def _environment_beside(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the environment adds to what the caller stated.

    A credential that the caller stated is not mixed with one of another kind from the environment.
    """
    found = from_environment()
    if settings.get("api_key") is not None:
        found.pop("username", None)
        found.pop("password", None)
    elif settings.get("username") is not None or settings.get("password") is not None:
        found.pop("api_key", None)
    return {name: value for name, value in found.items() if name not in settings}


def _configuration_error(invalid: ValidationError) -> XinferenceConfigurationError:
    # pydantic's own text would repeat the value, which may be a key.
    wrong = []
    for error in invalid.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in error["loc"][:1])
        variables = ENVIRONMENT_NAMES.get(name)
        source = f" (or the variable {' or '.join(variables)})" if variables else ""
        wrong.append(f"{name}{source}: {error['msg'].removeprefix('Value error, ')}")
    return XinferenceConfigurationError("XinferenceConnection cannot use " + "; ".join(wrong))


class ConnectionSettings(BaseModel):
    """What an `XinferenceConnection` holds: frozen values, without a verb. Equal settings share one client."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    server_url: ServerUrl = Field(DEFAULT_SERVER_URL, validate_default=False)
    """The server's address, in any form it is pasted: with `/v1`, a trailing slash, `0.0.0.0`."""
    api_key: Key | None = Field(None, exclude=True, repr=False)
    """An API key of the server (`xf-…`). Comes before username and password where both are given."""
    username: str | None = None
    """Log in as this user at first need, with `password`; the token is refreshed before it runs out."""
    password: SecretSetting | None = Field(None, exclude=True, repr=False)
    timeout: Seconds | None = 300.0
    """Seconds without a byte from the server: before the answer, and between the chunks of a stream. None: no limit."""
    connect_timeout: Seconds | None = 10.0
    """Seconds to wait for the connection itself."""
    deadline: Seconds | None = None
    """Seconds for a whole call, its retries included. None: no limit."""
    max_retries: int = Field(2, ge=0)
    """Retries after a transient failure: no connection, overload, a loading model."""
    max_concurrency: int | None = Field(None, ge=1)
    """Concurrent requests: in the process for sync callers, in each event loop for async ones."""
    pool_size: int = Field(100, ge=1)
    """Idle connections kept for the next call; an event loop has no more than these, and its other callers wait."""
    max_response_bytes: int | None = Field(256 * 1024 * 1024, ge=1)
    """The most bytes of one answer, or of one stream, after decoding; a larger one is an error. None: no limit."""
    verify: bool | str = True
    """Whether the server's certificate is checked, or the path of the CA bundle to check it with."""
    cert: str | tuple[str, str] | None = None
    """A client certificate: the path of a PEM file, or of certificate and key."""
    headers: Annotated[tuple[tuple[str, str], ...], BeforeValidator(header_pairs)] = Field((), exclude=True, repr=False)
    """Headers sent with every request, for a gateway in front of the server."""
    proxy: Annotated[str | None, BeforeValidator(_as_proxy)] = Field(None, exclude=True, repr=False)
    """The proxy to go through. None: as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say."""
    fallbacks: tuple[ConnectionSettings, ...] = ()
    """Servers to ask when this one cannot answer (no connection, 503, a loading model), in order: URLs or connections.

    A URL takes over this connection's settings but for the credential, which stays with its server: give a connection
    for a server that asks for one. They must serve the same models under the same UIDs.
    """

    def __init__(self, server_url: str | None = None, /, **settings: Any) -> None:
        if server_url is not None:
            if "server_url" in settings:
                msg = "server_url was given twice, by place and by name"
                raise XinferenceConfigurationError(msg)
            settings["server_url"] = server_url
        _refuse_misspelt(settings, type(self))
        _refuse_wrong_types(settings)
        if settings.get("fallbacks"):
            settings["fallbacks"] = _fallbacks_of(settings)
        try:
            super().__init__(**(_environment_beside(settings) | settings))
        except ValidationError as invalid:
            raise _configuration_error(invalid) from None
        if self.api_key is None and (self.username is None) is not (self.password is None):
            missing, name = (
                ("password", "XINFERENCE_PASSWORD") if self.password is None else ("username", "XINFERENCE_USERNAME")
            )
            msg = f"to log in, {missing} is needed too: give {missing}= or set {name}"
            raise XinferenceConfigurationError(msg, url=self.server_url)

    def proxy_to_use(self) -> str | None:
        """Return the URL of the proxy to go through, stated or from the environment; None is none.

        Raises:
            XinferenceConfigurationError: The environment names one that is not supported.
        """
        return self.proxy or _as_proxy(proxy_from_environment(self.server_url)) or None

    def derive(self, **changes: Any) -> Self:
        """Return a connection with some settings changed; the rest stay as they are.

        Args:
            **changes: Settings by name. An API key replaces a username and password, and the other way round.

        Returns:
            The new connection.

        Raises:
            XinferenceConfigurationError: A setting is misspelt or invalid.
        """
        mine = {name: getattr(self, name) for name in type(self).model_fields}
        if changes.get("api_key") is not None:
            mine["username"] = mine["password"] = None
        elif changes.get("username") is not None or changes.get("password") is not None:
            mine["api_key"] = None
        return type(self)(**(mine | changes))
