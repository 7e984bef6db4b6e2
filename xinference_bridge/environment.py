"""What the environment says about the connection: variables, `.env`, Docker secrets.

Kept apart from `XinferenceConnection` on purpose. A connection that *is* a pydantic `BaseSettings` refuses to start
when a `.env` holds the server's own `XINFERENCE_HOME`, or, told to ignore extras, swallows a misspelt `api_kye=`.
"""

from __future__ import annotations

import os
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from xinference_bridge.errors import XinferenceConfigurationError

#: Field of the connection → the variables that may hold it, the first that is set wins.
#: `XINFERENCE_ENDPOINT` is the server's own name for its URL, so it comes first.
ENVIRONMENT_NAMES: dict[str, tuple[str, ...]] = {
    "server_url": ("XINFERENCE_ENDPOINT", "XINFERENCE_SERVER_URL"),
    "api_key": ("XINFERENCE_API_KEY",),
    "username": ("XINFERENCE_USERNAME",),
    "password": ("XINFERENCE_PASSWORD",),
    "proxy": ("XINFERENCE_PROXY",),
}

#: The proxy and the CA bundle that other tools use too. Read here, once, and handed to both transports, because
#: `requests` looks them up at every call (a fifth of its time) and aiohttp, left alone, ignores them.
_CA_BUNDLE_NAMES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_PROXY_NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

_SECRETS_DIR = Path("/run/secrets")


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", env_file=".env", env_file_encoding="utf-8-sig")

    server_url: str | None = Field(None, validation_alias=AliasChoices(*ENVIRONMENT_NAMES["server_url"]))
    api_key: SecretStr | None = Field(None, validation_alias=AliasChoices(*ENVIRONMENT_NAMES["api_key"]))
    username: str | None = Field(None, validation_alias=AliasChoices(*ENVIRONMENT_NAMES["username"]))
    password: SecretStr | None = Field(None, validation_alias=AliasChoices(*ENVIRONMENT_NAMES["password"]))
    proxy: str | None = Field(None, validation_alias=AliasChoices(*ENVIRONMENT_NAMES["proxy"]))


def from_environment() -> dict[str, Any]:
    """The settings that the environment states, by field name; what it does not state is absent.

    A variable of the process comes before the `.env` of the working directory, and that before a Docker secret
    (`/run/secrets/xinference_api_key`). An empty value counts as not stated. Read anew only when one of them has
    changed: reading costs 0.5 ms, and a model is built in less.

    Raises:
        XinferenceConfigurationError: The `.env` or a secret cannot be read.
    """
    names = (name for names in ENVIRONMENT_NAMES.values() for name in names)
    values = tuple(os.environ.get(name) for name in (*names, *_CA_BUNDLE_NAMES))
    return dict(_read(values, _working_directory(), _changed(Path(".env")), _changed(_SECRETS_DIR)))


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was deleted; then there is no `.env` in it
        return ""


def proxy_from_environment(url: str) -> str | None:
    """The proxy that `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name for this URL, or None."""
    values = tuple(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXY_NAMES)
    if not any(values[:3]):
        return None
    return _proxy_for(url, values)


@lru_cache(maxsize=32)
def _proxy_for(url: str, _values: tuple[str | None, ...]) -> str | None:
    from requests.utils import get_environ_proxies, select_proxy

    return select_proxy(url, get_environ_proxies(url))


@lru_cache(maxsize=8)
def _read(_values: tuple[str | None, ...], _folder: str, _dotenv: float, secrets: float) -> tuple[tuple[str, Any], ...]:
    try:
        environment = _Environment(_secrets_dir=_SECRETS_DIR if secrets else None)
    except (OSError, ValueError) as unreadable:
        # ValueError: of another encoding, or no text at all. What it repeats of the file may be a key.
        why = unreadable.strerror if isinstance(unreadable, OSError) else "it must be UTF-8 text with NAME=value lines"
        raise XinferenceConfigurationError(f"{Path(_folder) / '.env'} cannot be read: {why}") from None
    _warn_of_redirected_credentials(environment, _folder)
    stated = [(name, getattr(environment, name)) for name in ENVIRONMENT_NAMES]
    bundle = next((os.environ[name] for name in _CA_BUNDLE_NAMES if os.environ.get(name)), None)
    return tuple((name, value) for name, value in (*stated, ("verify", bundle)) if _is_stated(value))


def _warn_of_redirected_credentials(environment: _Environment, folder: str) -> None:
    """Warn where a `.env` that lies in the working directory decides where a credential of the environment goes.

    Such a file comes along with whatever repository a program is started in.
    """
    held = [name for name in (*ENVIRONMENT_NAMES["api_key"], *ENVIRONMENT_NAMES["password"]) if os.environ.get(name)]
    if not held:
        return
    for field in ("server_url", "proxy"):
        value = getattr(environment, field)
        names = ENVIRONMENT_NAMES[field]
        if value and not any(os.environ.get(name) for name in names):
            # Without user and password: a proxy's URL may hold them.
            shown = str(value).rpartition("@")[2]
            msg = (
                f"{Path(folder) / '.env'} sets {names[0]} to {shown}, and {held[0]} comes from the environment: the "
                f"credential will be sent there. If that is meant, set {names[0]} in the environment, too."
            )
            warnings.warn(msg, UserWarning, stacklevel=2)


def _is_stated(value: Any) -> bool:
    return value is not None and bool(value.get_secret_value() if isinstance(value, SecretStr) else value)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
