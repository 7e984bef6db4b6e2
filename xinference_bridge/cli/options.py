"""The options that all commands share, stated once, and the one place where a failure becomes a line and a status."""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from xinference_bridge.cli.console import complain, messages
from xinference_bridge.cli.wording import as_options
from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.connection_settings import DEFAULT_SERVER_URL, normalise_server_url
from xinference_bridge.environment import ENVIRONMENT_NAMES, from_environment
from xinference_bridge.errors import XinferenceConfigurationError, XinferenceError

P = ParamSpec("P")

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130
_PANEL = "Connection"


def _named(field: str) -> str:
    return " or ".join(ENVIRONMENT_NAMES[field])


def _common(
    *,
    server_url: Annotated[
        str | None,
        typer.Option(
            "--server-url",
            "--endpoint",
            "-e",
            metavar="URL",
            rich_help_panel=_PANEL,
            help=f"The server's address; else {_named('server_url')}, else {DEFAULT_SERVER_URL}.",
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            rich_help_panel=_PANEL,
            help=f"An API key of the server; else {_named('api_key')}, which other users of the machine cannot see.",
        ),
    ] = None,
    username: Annotated[
        str | None,
        typer.Option(metavar="NAME", rich_help_panel=_PANEL, help=f"Log in as this user; else {_named('username')}."),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            rich_help_panel=_PANEL,
            help=f"The user's password; else {_named('password')}, else asked for.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", rich_help_panel=_PANEL, help="Seconds to wait for each byte of an answer."),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel=_PANEL, help="The CA bundle that signed the server's certificate."
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", rich_help_panel=_PANEL, help="Do not check the server's certificate.")
    ] = False,
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'NAME: VALUE'",
            rich_help_panel=_PANEL,
            help="A header to send with every request, for a gateway in front of the server; can be repeated.",
        ),
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            rich_help_panel=_PANEL,
            help=f"The proxy to go through; else {_named('proxy')}, else HTTP_PROXY and HTTPS_PROXY.",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", rich_help_panel=_PANEL, help="Show tracebacks.")] = False,
) -> "Common":
    stated: dict[str, Any] = {
        "server_url": server_url,
        "api_key": api_key,
        "username": username,
        "password": password,
        "timeout": timeout,
        "verify": _verify(ca, insecure=insecure),
        "headers": _headers(header or []),
        "proxy": proxy,
    }
    return Common({name: value for name, value in stated.items() if value is not None}, debug)


def _verify(ca: Path | None, *, insecure: bool) -> bool | str | None:
    if ca is not None and insecure:
        raise typer.BadParameter("--ca and --insecure exclude each other")
    if ca is not None and not ca.is_file():
        raise typer.BadParameter(f"--ca {ca}: no such file")
    return str(ca) if ca is not None else False if insecure else None


def _headers(given: list[str]) -> dict[str, str] | None:
    headers = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            # Never repeated in the message: it may be a key.
            raise typer.BadParameter("--header takes 'NAME: VALUE', such as --header 'X-Team: search'")
        headers[name.strip()] = value.strip()
    return headers or None


@dataclass(frozen=True, slots=True)
class Common:
    """What the shared options stated; what they left out is the environment's, or the default."""

    stated: Mapping[str, Any]
    debug: bool = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.stated)})"

    def connection(self) -> XinferenceConnection:
        """The connection that options and environment describe; a usage error when they are invalid."""
        try:
            return self.build()
        except XinferenceConfigurationError as error:
            raise UsageError(error) from error

    def build(self) -> XinferenceConnection:
        """Same as `connection`, but an invalid setting raises XinferenceConfigurationError.

        The password is asked for where a user was named without one.
        """
        settings = dict(self.stated)
        if "server_url" in settings:
            # By itself it says in fewer words what is wrong than as one of the connection's fields.
            settings["server_url"] = normalise_server_url(settings["server_url"])
        wants_password = "username" in settings and "password" not in settings | from_environment()
        if wants_password and sys.stdin.isatty():
            settings["password"] = typer.prompt(f"Password of {settings['username']}", hide_input=True, err=True)
        return XinferenceConnection(**settings)

    def origin(self, field: str) -> str:
        """Where this setting comes from, in words."""
        if field in self.stated:
            return f"the option --{field.replace('_', '-')}"
        if field not in from_environment():
            return "the default"
        names = ENVIRONMENT_NAMES[field]
        in_process = {name.upper() for name, value in os.environ.items() if value}
        for name in names:
            if name in in_process:
                return f"the variable {name}"
        return "the file .env" if _stands_in(Path(".env"), names) else "/run/secrets"

    def secrets(self) -> list[str]:
        """What must never be printed."""
        known = {**from_environment(), **self.stated}
        values = [known.get(name) for name in ("api_key", "password", "proxy")]
        values += dict(known.get("headers") or {}).values()
        return [
            value.get_secret_value() if hasattr(value, "get_secret_value") else str(value) for value in values if value
        ]


class UsageError(Exception):
    """What was typed is invalid."""


def with_common_options(command: Callable[Concatenate[Common, P], None]) -> Callable[..., None]:
    """The command with the shared options among its own, and with its failures told in one line.

    The command gets them as its first argument. Ends with status 1 after a failure, 2 after a usage error, 130 after
    Ctrl-C.
    """

    @functools.wraps(command)
    def run(*args: Any, **given: Any) -> None:
        common = _common(**{name: given.pop(name) for name in _SHARED})
        try:
            command(common, *args, **given)
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except KeyboardInterrupt:
            messages().print("stopped", style="dim")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # `xinference-bridge models | head` has read enough. The interpreter would complain of it once more at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILED) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, a person reads one line and not a traceback
            complain(error, _in_one_line(error), debug=common.debug, secrets=common.secrets())
            raise typer.Exit(WRONG_USAGE if isinstance(error, UsageError) else FAILED) from None

    # typer reads the options from the signature.
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = inspect.signature(_common).parameters.values()
    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *shared)]
    run.__signature__ = inspect.Signature(keyword, return_annotation=None)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in keyword}
    del run.__dict__["__wrapped__"]
    return run


_SHARED = tuple(inspect.signature(_common).parameters)


def _in_one_line(error: Exception) -> str:
    if isinstance(error, (XinferenceError, UsageError)):
        return as_options(str(error))
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"unexpected {type(error).__name__}: {error}. --debug shows where."


def _stands_in(path: Path, names: tuple[str, ...]) -> bool:
    try:
        text = path.read_text(encoding="utf-8").upper()
    except (OSError, UnicodeDecodeError):
        return False
    return any(line.removeprefix("EXPORT ").strip().startswith(names) for line in text.splitlines())
