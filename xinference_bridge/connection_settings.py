"""The settings of a connection, as frozen values: address, credential, timeouts."""

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
    """Options of one call that override its connection's settings. None keeps the connection's setting."""

    timeout: float | None = None
    connect_timeout: float | None = None
    deadline: float | None = None
    max_retries: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """Headers of this call. They override the connection's headers of the same name."""


DEFAULT_OPTIONS = CallOptions()

DEFAULT_SERVER_URL = "http://127.0.0.1:9997"


def normalise_server_url(url: str) -> str:
    """Return the base URL of a server: with a scheme and a reachable host, without a trailing slash or `/v1`.

    Raises:
        XinferenceConfigurationError: It is not the URL of a server, or contains a password.

    Examples:
        >>> normalise_server_url("0.0.0.0:9997/v1/")
        'http://127.0.0.1:9997'
    """
    text = url.strip()
    if re.match(r"https?(?::/(?!/)|//|:(?=[^/\d]))", text, re.IGNORECASE):
        msg = f"server_url={url!r} has no '://' after the scheme; it must be a URL such as {DEFAULT_SERVER_URL}"
        raise XinferenceConfigurationError(msg)
    if not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", text):
        text = f"http://{text}"
    parts = urlsplit(text)
    _refuse_unusable(parts)
    # A server started with `-H 0.0.0.0` prints that address, but clients cannot connect to it.
    host = parts.netloc.lower()  # one connection per server, whatever the case of its name
    host = re.sub(r"^0\.0\.0\.0(?=:|$)", "127.0.0.1", host)
    host = re.sub(r"^\[::\](?=:|$)", "[::1]", host)
    # People paste the OpenAI base URL, the docs page or the web page of the server.
    path = re.sub(r"(/v1(/.*)?|/ui(/.*)?|/docs)?/*$", "", parts.path)
    return f"{parts.scheme.lower()}://{host}{path}"


def _refuse_unusable(parts: SplitResult) -> None:
    if parts.scheme.lower() not in {"http", "https"}:
        msg = f"server_url has the scheme {parts.scheme!r}; it must be http:// or https://, as in {DEFAULT_SERVER_URL}"
        raise XinferenceConfigurationError(msg)
    if "@" in parts.netloc:
        # The message never repeats it: it is a password.
        msg = "server_url must not contain a user and password; pass them as username= and password="
        raise XinferenceConfigurationError(msg)
    try:
        usable = bool(parts.hostname) and parts.port != 0 and not _NOT_IN_A_HOST.search(parts.netloc)
        # Checked here, because aiohttp fails with a bare UnicodeError for an empty or too long label.
        (parts.hostname or "").encode("ascii" if ":" in (parts.hostname or "") else "idna")
    except ValueError:
        usable = False
    if not usable:
        msg = f"server_url={parts.geturl()!r} has no host and port; it must be a URL such as {DEFAULT_SERVER_URL}"
        raise XinferenceConfigurationError(msg, url=parts.geturl())


#: Quotes come from `docker run --env-file`, which does not remove them.
_NOT_IN_A_HOST = re.compile(r"""[\s'"<>\\^`{|}]""")


def _as_pairs(value: Any) -> Any:
    # A tuple of pairs and not a dict, so that a connection can be hashed.
    return tuple((str(name), str(content)) for name, content in value.items()) if isinstance(value, Mapping) else value


def header_pairs(value: Any) -> Any:
    """Return headers as a tuple of pairs, which can be hashed.

    Raises:
        XinferenceConfigurationError: A name or value cannot be sent.
    """
    pairs = _as_pairs(value)
    for name, content in pairs if isinstance(pairs, tuple) else ():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_TEXT.fullmatch(content):
            # The libraries' errors repeat the value, which may be a key. They encode other characters differently.
            rule = "the name must not contain spaces, and the value must be printable ASCII"
            msg = f"the header {name!r} cannot be sent: {rule}"
            raise XinferenceConfigurationError(msg)
        if name.lower() in _FRAMING:
            msg = f"the header {name!r} cannot be set: it describes the request's body or its connection"
            raise XinferenceConfigurationError(msg)
    return pairs


#: Set by the HTTP libraries for each request. With another value, aiohttp truncates the body or waits forever (3.14.5).
_FRAMING = frozenset({
    "connection", "content-encoding", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


_HEADER_TEXT = re.compile(r"[\t\x20-\x7e]*")


def _as_secret(value: Any) -> Any:
    secret = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(secret, str) and secret and set(secret) == {"*"}:
        # A serialized object contains a masked key. If it were sent, it would count towards a ban.
        msg = "this secret consists of asterisks, as in a serialized object; pass the real one"
        raise XinferenceConfigurationError(msg)
    return value


def _as_key(value: Any) -> Any:
    _as_secret(value)
    secret = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(secret, str):
        return value
    key = secret.strip()  # a key read from a file ends in a newline
    if not key or not _HEADER_TEXT.fullmatch(key):
        # The HTTP libraries would reject it with an error that repeats it.
        msg = "this key is empty or has characters that a key cannot contain"
        raise XinferenceConfigurationError(msg)
    return SecretStr(key)


def _as_proxy(value: Any) -> Any:
    """Check a proxy's URL; the default scheme is http://. Errors never repeat the URL: it may contain a password."""
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
        msg = "the proxy's URL has no host and port; it must be a URL such as http://proxy.example:3128"
        raise XinferenceConfigurationError(msg)
    if parts.scheme.lower() not in {"http", "https"}:
        msg = (
            f"the proxy has the scheme {parts.scheme!r}; only HTTP proxies are supported, such as "
            "http://proxy.example:3128. To bypass a SOCKS proxy from the environment, set NO_PROXY or pass an "
            "HTTP proxy as proxy="
        )
        raise XinferenceConfigurationError(msg)
    return url


SecretSetting = Annotated[SecretStr, BeforeValidator(_as_secret)]
Key = Annotated[SecretStr, BeforeValidator(_as_key)]
ServerUrl = Annotated[
    str, BeforeValidator(lambda value: normalise_server_url(value) if isinstance(value, str) else value)
]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _refuse_misspelled(settings: Mapping[str, Any], model: type[BaseModel]) -> None:
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
            msg = f"fallbacks[{place}] must not have fallbacks itself: put all servers into one list"
            raise XinferenceConfigurationError(msg)
    return tuple(found)


#: Settings that a fallback given as a URL does not inherit.
_OF_ONE_SERVER = frozenset({"server_url", "api_key", "username", "password", "fallbacks", "headers", "cert"})


def _environment_beside(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the environment's settings that the caller did not pass.

    A credential from the caller is not mixed with another kind of credential from the environment.
    """
    found = from_environment()
    if settings.get("api_key") is not None:
        found.pop("username", None)
        found.pop("password", None)
    elif settings.get("username") is not None or settings.get("password") is not None:
        found.pop("api_key", None)
    return {name: value for name, value in found.items() if name not in settings}


def _configuration_error(invalid: ValidationError) -> XinferenceConfigurationError:
    # pydantic's own message would repeat the value, which may be a key.
    wrong = []
    for error in invalid.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in error["loc"][:1])
        variables = ENVIRONMENT_NAMES.get(name)
        source = f" (or the variable {' or '.join(variables)})" if variables else ""
        wrong.append(f"{name}{source}: {error['msg'].removeprefix('Value error, ')}")
    return XinferenceConfigurationError("XinferenceConnection cannot use " + "; ".join(wrong))


class ConnectionSettings(BaseModel):
    """The settings of an `XinferenceConnection`, as frozen values. Equal settings share one client."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    server_url: ServerUrl = Field(DEFAULT_SERVER_URL, validate_default=False)
    """The server's URL, in any common form: with `/v1`, with a trailing slash, as `0.0.0.0`."""
    api_key: Key | None = Field(None, exclude=True, repr=False)
    """An API key of the server (`xf-…`). Comes before username and password where both are given, except to launch and
    end models, which takes a login."""
    username: str | None = None
    """The user to log in as, on the first call, with `password`. The token is renewed before it expires."""
    password: SecretSetting | None = Field(None, exclude=True, repr=False)
    timeout: Seconds | None = 300.0
    """Maximum seconds to wait for the next byte: of the answer, or of a stream's next chunk. None: no limit."""
    connect_timeout: Seconds | None = 10.0
    """Maximum seconds to wait for the connection to open."""
    deadline: Seconds | None = None
    """Maximum seconds for a whole call, including retries. None: no limit."""
    max_retries: int = Field(2, ge=0)
    """Maximum retries after a transient failure: no connection, overload, a loading model."""
    max_concurrency: int | None = Field(None, ge=1)
    """Maximum concurrent requests: per process for sync calls, per event loop for async calls."""
    pool_size: int = Field(100, ge=1)
    """Maximum idle sockets in the pool. In an event loop it limits all open sockets; further calls wait."""
    max_response_bytes: int | None = Field(256 * 1024 * 1024, ge=1)
    """Maximum bytes of one response or stream, after decoding. A larger one raises an error. None: no limit."""
    verify: bool | str = True
    """Whether to verify the server's certificate, or the path of a CA bundle to verify it with."""
    cert: str | tuple[str, str] | None = None
    """A client certificate: the path of a PEM file, or the paths of the certificate and the key."""
    headers: Annotated[tuple[tuple[str, str], ...], BeforeValidator(header_pairs)] = Field((), exclude=True, repr=False)
    """Extra headers for every request, for a gateway in front of the server."""
    proxy: Annotated[str | None, BeforeValidator(_as_proxy)] = Field(None, exclude=True, repr=False)
    """The proxy's URL. None: the proxy from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`."""
    fallbacks: tuple[ConnectionSettings, ...] = ()
    """Servers to use, in order, if this one cannot answer (no connection, 503, a loading model): URLs or connections.

    A URL inherits this connection's settings except the credential: pass a connection for a server that requires
    one. All servers must run the same models under the same UIDs.
    """

    def __init__(self, server_url: str | None = None, /, **settings: Any) -> None:
        if server_url is not None:
            if "server_url" in settings:
                msg = "server_url was given twice, as the first argument and by name"
                raise XinferenceConfigurationError(msg)
            settings["server_url"] = server_url
        _refuse_misspelled(settings, type(self))
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
            msg = f"to log in, {missing} is required too: pass {missing}= or set {name}"
            raise XinferenceConfigurationError(msg, url=self.server_url)

    def proxy_to_use(self) -> str | None:
        """Return the proxy's URL, from the settings or the environment; None if there is none.

        Raises:
            XinferenceConfigurationError: The environment's proxy is not supported.
        """
        return self.proxy or _as_proxy(proxy_from_environment(self.server_url)) or None

    def derive(self, **changes: Any) -> Self:
        """Return a copy of the connection with some settings changed.

        Args:
            **changes: Settings by name. An API key replaces username and password, and vice versa.

        Returns:
            The new connection.

        Raises:
            XinferenceConfigurationError: A setting is misspelled or invalid.
        """
        mine = {name: getattr(self, name) for name in type(self).model_fields}
        if changes.get("api_key") is not None:
            mine["username"] = mine["password"] = None
        elif changes.get("username") is not None or changes.get("password") is not None:
            mine["api_key"] = None
        return type(self)(**(mine | changes))
