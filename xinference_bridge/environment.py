"""Connection settings from the environment: variables, `.env`, Docker secrets.

Separate from `XinferenceConnection` on purpose. A connection that *is* a pydantic `BaseSettings` fails
if a `.env` contains the server's own `XINFERENCE_HOME`; with extras ignored, it accepts a misspelled `api_kye=`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from xinference_bridge.errors import XinferenceConfigurationError

#: Field of the connection → its variables. The first one that is set wins.
#: `XINFERENCE_ENDPOINT` is the server's own name for its URL, so it comes first.
ENVIRONMENT_NAMES: dict[str, tuple[str, ...]] = {
    "server_url": ("XINFERENCE_ENDPOINT", "XINFERENCE_SERVER_URL"),
    "api_key": ("XINFERENCE_API_KEY",),
    "username": ("XINFERENCE_USERNAME",),
    "password": ("XINFERENCE_PASSWORD",),
    "proxy": ("XINFERENCE_PROXY",),
}

#: The variables for proxy and CA bundle that other tools use too. Read here and passed to both transports, because
#: `requests` looks them up on every call (a fifth of its time) and aiohttp ignores them by default.
_CA_BUNDLE_NAMES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_PROXY_NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

_SECRETS_DIR = Path("/run/secrets")


class _Stated(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", env_file_encoding="utf-8-sig", env_ignore_empty=True)

    server_url: str | None = Field(None, validation_alias=AliasChoices(*ENVIRONMENT_NAMES["server_url"]))
    api_key: SecretStr | None = Field(None, validation_alias=AliasChoices(*ENVIRONMENT_NAMES["api_key"]))
    username: str | None = Field(None, validation_alias=AliasChoices(*ENVIRONMENT_NAMES["username"]))
    password: SecretStr | None = Field(None, validation_alias=AliasChoices(*ENVIRONMENT_NAMES["password"]))
    proxy: str | None = Field(None, validation_alias=AliasChoices(*ENVIRONMENT_NAMES["proxy"]))


class _InVariables(_Stated):
    """Settings from the variables of the process; reads no file."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic passes these by name
        init_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings,)


class _InFiles(_Stated):
    """Settings from the `.env` of the working directory, then from Docker secrets."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (dotenv_settings, file_secret_settings)


@dataclass(frozen=True, eq=False)
class _Files:
    """The settings from the files when they were last read, and the folder. The same object until they change."""

    folder: str
    stated: _InFiles | None = None
    why_unreadable: str | None = None


def from_environment() -> dict[str, Any]:
    """Return the settings from the environment by field name, without those that are not set.

    A variable of the process takes precedence over the `.env` of the working directory, and that over a Docker secret
    (`/run/secrets/xinference_api_key`). An empty value counts as not set. The files are read again only if they
    changed: reading takes 0.5 ms, longer than building a model. In a running event loop no file is accessed: the
    values are those from the last read outside of one, at the latest on import.

    Raises:
        XinferenceConfigurationError: The `.env` or a secret cannot be read.
    """
    names = (name for names in ENVIRONMENT_NAMES.values() for name in names)
    values = tuple(os.environ.get(name) for name in (*names, *_CA_BUNDLE_NAMES))
    return dict(_read(values, _FILES.now()))


class _LastFiles:
    """Return the settings from the files; in an event loop, as they were last read."""

    def __init__(self) -> None:
        self._seen = self._look()

    def now(self) -> _Files:
        if not in_event_loop():
            self._seen = self._look()
        return self._seen

    @staticmethod
    def _look() -> _Files:
        return _read_files(_working_directory(), _changed(Path(".env")), _changed(_SECRETS_DIR), _SECRETS_DIR)


def in_event_loop() -> bool:
    """Return whether an event loop that must not be blocked runs in this thread.

    False in a notebook: its kernel runs every cell in an event loop, and any sync call in a cell blocks it.
    """
    if "ipykernel" in sys.modules:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@lru_cache(maxsize=8)
def _read_files(folder: str, dotenv: float, secrets: float, secrets_folder: Path) -> _Files:
    if not (dotenv or secrets):
        return _Files(folder)
    try:
        if dotenv and (line := _unreadable_line()):
            return _Files(folder, why_unreadable=f"line {line} is not NAME=value; is a quote not closed?")
        stated = _InFiles(_env_file=".env" if dotenv else None, _secrets_dir=secrets_folder if secrets else None)
    except (OSError, ValueError) as unreadable:
        # ValueError: another encoding, or not text. Its message is not used, because it may repeat a key.
        why = unreadable.strerror if isinstance(unreadable, OSError) else "it must be UTF-8 text with NAME=value lines"
        return _Files(folder, why_unreadable=why)
    return _Files(folder, stated)


def _unreadable_line() -> int | None:
    """Return the number of a line about Xinference that python-dotenv skips with only a log entry."""
    from dotenv.parser import parse_stream  # pydantic-settings reads the file with it

    with Path(".env").open(encoding="utf-8-sig") as lines:
        for binding in parse_stream(lines):
            if binding.error and "XINFERENCE_" in binding.original.string.upper():
                return binding.original.line
    return None


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # the working directory was deleted
        return ""


def proxy_from_environment(url: str) -> str | None:
    """Return the proxy for this URL from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, or None."""
    values = tuple(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXY_NAMES)
    if not any(values[:3]):
        return None
    return _proxy_for(url, values)


@lru_cache(maxsize=32)
def _proxy_for(url: str, _values: tuple[str | None, ...]) -> str | None:
    from requests.utils import get_environ_proxies, select_proxy

    return select_proxy(url, get_environ_proxies(url))


@lru_cache(maxsize=8)
def _read(_values: tuple[str | None, ...], files: _Files) -> tuple[tuple[str, Any], ...]:
    if files.why_unreadable is not None:
        raise XinferenceConfigurationError(f"{Path(files.folder) / '.env'} cannot be read: {files.why_unreadable}")
    variables = _InVariables()
    _warn_of_redirected_credentials(files)
    stated = []
    for name in ENVIRONMENT_NAMES:
        value = getattr(variables, name)
        stated.append((name, getattr(files.stated, name, None) if value is None else value))
    bundle = next((os.environ[name] for name in _CA_BUNDLE_NAMES if os.environ.get(name)), None)
    return tuple((name, value) for name, value in (*stated, ("verify", bundle)) if _is_stated(value))


def _warn_of_redirected_credentials(files: _Files) -> None:
    """Warn if a `.env` in the working directory decides where a credential from the environment is sent.

    Such a file may come with any repository in which the program is started.
    """
    held = [name for name in (*ENVIRONMENT_NAMES["api_key"], *ENVIRONMENT_NAMES["password"]) if os.environ.get(name)]
    if not held:
        return
    for field in ("server_url", "proxy"):
        value = getattr(files.stated, field, None)
        names = ENVIRONMENT_NAMES[field]
        if value and not any(os.environ.get(name) for name in names):
            # Without the user and password that a proxy's URL may contain.
            shown = str(value).rpartition("@")[2]
            msg = (
                f"{Path(files.folder) / '.env'} sets {names[0]} to {shown}, and {held[0]} comes from the environment: "
                f"the credential will be sent there. If that is intended, set {names[0]} in the environment too."
            )
            warnings.warn(msg, UserWarning, stacklevel=2)


def _is_stated(value: Any) -> bool:
    return value is not None and bool(value.get_secret_value() if isinstance(value, SecretStr) else value)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


#: Read on import, so that the first model can be built in an event loop.
_FILES = _LastFiles()
