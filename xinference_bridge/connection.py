"""Where the server is, who asks, how long to wait: the one object that a team shares between its models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.settings import ENVIRONMENT_NAMES, from_environment
from xinference_bridge.suggestions import did_you_mean
from xinference_bridge.wire import DEFAULT_OPTIONS, CallOptions

if TYPE_CHECKING:
    from typing_extensions import Self

    from xinference_bridge.client import Client
    from xinference_bridge.models import ModelInfo

DEFAULT_SERVER_URL = "http://127.0.0.1:9997"


def normalise_server_url(url: str) -> str:
    """The base URL that a pasted one means: no trailing slash, no `/v1`, a scheme, an address that can be called.

    >>> normalise_server_url("0.0.0.0:9997/v1/")
    'http://127.0.0.1:9997'

    Raises XinferenceConfigurationError when it cannot be a server's URL, or holds a password.
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


def _as_header_pairs(value: Any) -> Any:
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


Secret = Annotated[SecretStr, BeforeValidator(_as_secret)]
Key = Annotated[SecretStr, BeforeValidator(_as_key)]
ServerUrl = Annotated[
    str, BeforeValidator(lambda value: normalise_server_url(value) if isinstance(value, str) else value)
]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class XinferenceConnection(BaseModel):
    """How to reach one Xinference server; safe to share between threads, event loops and processes.

    Building one makes no network call. Equal settings are equal connections, and share one pool of sockets, one login
    and one view of which models run. A setting left out is taken from the environment (see `ENVIRONMENT_NAMES`), and
    else is the default. A pickle carries the credentials, so that a spawned worker can answer; `repr`, `str` and
    `model_dump` leave them out.

    Raises XinferenceConfigurationError when a setting is misspelt or cannot be meant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    server_url: ServerUrl = Field(DEFAULT_SERVER_URL, validate_default=False)
    """The server's address, in any form it is pasted: with `/v1`, a trailing slash, `0.0.0.0`."""
    api_key: Key | None = Field(None, exclude=True, repr=False)
    """An API key of the server (`sk-…` or `xf-…`). Comes before username and password where both are given."""
    username: str | None = None
    """Log in as this user at first need, with `password`; the token is refreshed before it runs out."""
    password: Secret | None = Field(None, exclude=True, repr=False)
    timeout: Seconds | None = 300.0
    """Seconds without a byte from the server: before the answer, and between the chunks of a stream. None: for ever."""
    connect_timeout: Seconds | None = 10.0
    """Seconds to wait for the connection itself."""
    deadline: Seconds | None = None
    """Seconds for a whole call, its retries included. None: no limit."""
    max_retries: int = Field(2, ge=0)
    """How often a call is tried again after a failure that may pass: no connection, overload, a loading model."""
    max_concurrency: int | None = Field(None, ge=1)
    """Requests under way at once: in the process for sync callers, in each event loop for async ones."""
    pool_size: int = Field(100, ge=1)
    """Idle connections kept for the next call; an event loop has no more than these, and its other callers wait."""
    verify: bool | str = True
    """Whether the server's certificate is checked, or the path of the CA bundle to check it with."""
    cert: str | tuple[str, str] | None = None
    """A client certificate: the path of a PEM file, or of certificate and key."""
    headers: Annotated[tuple[tuple[str, str], ...], BeforeValidator(_as_header_pairs)] = Field(
        (), exclude=True, repr=False
    )
    """Headers sent with every request, for a gateway in front of the server."""
    proxy: str | None = Field(None, exclude=True, repr=False)
    """The proxy to go through. None: as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say."""

    def __init__(self, server_url: str | None = None, /, **settings: Any) -> None:
        if server_url is not None:
            if "server_url" in settings:
                msg = "server_url was given twice, by place and by name"
                raise XinferenceConfigurationError(msg)
            settings["server_url"] = server_url
        _refuse_misspelt(settings, type(self))
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

    def derive(self, **changes: Any) -> Self:
        """A connection like this one but for the given settings, which are checked as at construction.

        A credential of one kind takes the place of one of the other.
        """
        mine = {name: getattr(self, name) for name in type(self).model_fields}
        if changes.get("api_key") is not None:
            mine["username"] = mine["password"] = None
        elif changes.get("username") is not None or changes.get("password") is not None:
            mine["api_key"] = None
        return type(self)(**(mine | changes))

    # The three that every user meets; everything else is asked of the models themselves.

    def models(self) -> list[ModelInfo]:
        """The models that run now, asked of the server.

        Raises XinferenceConnectionError, XinferenceAuthenticationError, and whatever else the server answers with.
        """
        return self.client.running.models()

    async def amodels(self) -> list[ModelInfo]:
        """Same as `models`, but awaited."""
        return await self.client.running.amodels()

    def model(self, uid_or_name: str) -> ModelInfo:
        """The running model with this UID, or else the only one with this model name.

        Raises XinferenceModelNotFoundError that says what runs instead, or that lists the candidates when several
        models carry the name.
        """
        return self.client.running.model(uid_or_name)

    async def amodel(self, uid_or_name: str) -> ModelInfo:
        """Same as `model`, but awaited."""
        return await self.client.running.amodel(uid_or_name)

    def check(self, uid_or_name: str, ability: str | None = None, *, try_it: bool = False) -> ModelInfo:
        """What a "Save" button would do: reach the server, authenticate, find the model, match its type.

        `ability` is what the model is wanted for: "chat", "generate", "embed", "rerank", or one of the server's own
        words ("vision", "tools", …). With `try_it` one tiny request is sent to the model too. Raises the error that
        names what is wrong, XinferenceModelTypeError where it is the model's type.
        """
        return self.client.running.check(uid_or_name, ability, try_it=try_it)

    async def acheck(self, uid_or_name: str, ability: str | None = None, *, try_it: bool = False) -> ModelInfo:
        """Same as `check`, but awaited."""
        return await self.client.running.acheck(uid_or_name, ability, try_it=try_it)

    def wait_until_ready(self, uid: str, timeout: float = 300.0) -> ModelInfo:
        """Wait until the model answers to its description, at most `timeout` seconds.

        Raises XinferenceTimeoutError when it has not come up by then.
        """
        return self.client.running.wait_until_ready(uid, timeout)

    async def await_until_ready(self, uid: str, timeout: float = 300.0) -> ModelInfo:
        """Same as `wait_until_ready`, but awaited."""
        return await self.client.running.await_until_ready(uid, timeout)

    def server_version(self, options: CallOptions | None = None) -> str | None:
        """The server's version, or None where the credential may not ask it: it is for administrators.

        Raises XinferenceConnectionError when nothing answers there.
        """
        return self.client.running.server_version(options or DEFAULT_OPTIONS)

    @property
    def client(self) -> Client:
        """What sends the requests: one in the process for all connections that are equal to this one."""
        from xinference_bridge.runtime import client_for

        return client_for(self)

    def close(self) -> None:
        """Close the sockets and forget what was learnt; the next call opens them anew."""
        from xinference_bridge.runtime import forget

        client = forget(self)
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Same as `close`, but the running event loop's sockets are closed with a proper goodbye."""
        from xinference_bridge.runtime import forget

        client = forget(self)
        if client is not None:
            await client.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def connection_from(connection: XinferenceConnection | None, **stated: Any) -> XinferenceConnection:
    """The connection of a model: the one it was given, changed by what the model states itself.

    A stated setting that is None is not stated. Without a connection the environment and the defaults fill the rest.
    """
    changes = {name: value for name, value in stated.items() if value is not None}
    if connection is None:
        return XinferenceConnection(**changes)
    return connection.derive(**changes) if changes else connection


def _refuse_misspelt(settings: Mapping[str, Any], model: type[BaseModel]) -> None:
    for name in settings:
        if name not in model.model_fields:
            msg = f"XinferenceConnection has no setting {name!r}{did_you_mean(name, model.model_fields)}"
            raise XinferenceConfigurationError(msg)


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
