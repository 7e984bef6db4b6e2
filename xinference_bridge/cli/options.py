"""The options that all commands share, and the conversion of a failure into one line and an exit status."""

import functools
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from xinference_bridge.cli.console import SHORTEST_TOKEN, complain, messages
from xinference_bridge.cli.option_names import with_option_names
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
            help=f"The server's URL. Default: {_named('server_url')}, else {DEFAULT_SERVER_URL}.",
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            rich_help_panel=_PANEL,
            help=f"An API key. Default: {_named('api_key')}, which hides the key from other users of the machine.",
        ),
    ] = None,
    username: Annotated[
        str | None,
        typer.Option(metavar="NAME", rich_help_panel=_PANEL, help=f"User to log in as. Default: {_named('username')}."),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            rich_help_panel=_PANEL,
            help=f"The user's password. Default: {_named('password')}, else a prompt.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            rich_help_panel=_PANEL,
            help="Seconds to wait for the connection, and for each byte of a response.",
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            metavar="NAME:VALUE",
            rich_help_panel=_PANEL,
            help="An extra header, for a gateway in front of the server. Can be repeated.",
        ),
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            rich_help_panel=_PANEL,
            help=f"The proxy's URL. Default: {_named('proxy')}, HTTP_PROXY or HTTPS_PROXY.",
        ),
    ] = None,
    ca: Annotated[
        str | None,
        typer.Option(
            "--ca",
            metavar="FILE",
            rich_help_panel=_PANEL,
            help="The CA bundle (PEM) of the server's certificate. Default: REQUESTS_CA_BUNDLE or SSL_CERT_FILE.",
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", rich_help_panel=_PANEL, help="Do not verify the server's certificate."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", rich_help_panel=_PANEL, help="Show tracebacks.")] = False,
) -> "Common":
    stated: dict[str, Any] = {
        "server_url": server_url,
        "api_key": api_key,
        "username": username,
        "password": password,
        "timeout": timeout,
        "connect_timeout": timeout,
        "headers": header or None,
        "proxy": proxy,
        "verify": False if insecure else ca,
    }
    both = ("--insecure and --ca exclude each other: use one of them",) if insecure and ca is not None else ()
    return Common({name: value for name, value in stated.items() if value is not None}, debug, both)


@dataclass(frozen=True, slots=True)
class Common:
    """The values of the shared options. Options that were not given come from the environment or the defaults."""

    stated: Mapping[str, Any]
    debug: bool = False
    contradictions: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.stated)})"

    def connection(self) -> XinferenceConnection:
        """Return the connection for these options and the environment. Raise UsageError if they are invalid."""
        try:
            return self.build()
        except XinferenceConfigurationError as error:
            raise UsageError(error) from error

    def build(self) -> XinferenceConnection:
        """Return the connection, like `connection`, but raise XinferenceConfigurationError for an invalid setting.

        Prompts for the password if a username was given without one.
        """
        for contradiction in self.contradictions:
            raise XinferenceConfigurationError(contradiction)
        settings = dict(self.stated)
        if "headers" in settings:
            settings["headers"] = _headers_from(settings["headers"])
        if settings.get("verify") is False:
            # urllib3 would warn on every request about the missing check that --insecure requests.
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")
        if isinstance(settings.get("verify"), str) and not Path(settings["verify"]).is_file():
            raise XinferenceConfigurationError(f"--ca {settings['verify']}: no such file")
        if "server_url" in settings:
            # Checked here, because this error is shorter than that of the connection's field.
            settings["server_url"] = normalise_server_url(settings["server_url"])
        wants_password = "username" in settings and "password" not in settings | from_environment()
        if wants_password and sys.stdin.isatty():
            settings["password"] = typer.prompt(f"Password of {settings['username']}", hide_input=True, err=True)
        return XinferenceConnection(**settings)

    def origin(self, field: str) -> str:
        """Describe where this setting comes from."""
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
        """Return the values that must never be printed."""
        known = {**from_environment(), **self.stated}
        headers = [value.partition(":")[2].strip() for value in self.stated.get("headers", ())]
        # A short value is not a token, and masking every `a` would garble the message.
        headers = [value for value in headers if len(value) >= SHORTEST_TOKEN]
        values = [*(known.get(name) for name in ("api_key", "password", "proxy")), *headers]
        return [
            value.get_secret_value() if hasattr(value, "get_secret_value") else str(value) for value in values if value
        ]


class UsageError(Exception):
    """The command line is invalid."""


def _headers_from(written: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition(":") for text in written]
    if not all(colon and name.strip() for name, colon, _ in pairs):
        # The message does not repeat the text: it may be a token.
        raise XinferenceConfigurationError("--header must be NAME:VALUE, such as --header 'X-Team: search'")
    return {name.strip(): value.strip() for name, _, value in pairs}


def with_common_options(command: Callable[Concatenate[Common, P], None]) -> Callable[..., None]:
    """Add the shared options to a command, and report its failures in one line.

    The command receives them as its first argument. The exit status is 1 after a failure, 2 after a usage error, 130
    after Ctrl-C.
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
            # `xinference-bridge models | head`, for example. Without this, the interpreter reports the error at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILED) from None
        except Exception as error:  # noqa: BLE001 - any failure is reported in one line instead of a traceback
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
        return with_option_names(str(error))
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"unexpected {type(error).__name__}: {str(error).rstrip('.')}. --debug shows where."


def _stands_in(path: Path, names: tuple[str, ...]) -> bool:
    try:
        text = path.read_text(encoding="utf-8").upper()
    except (OSError, UnicodeDecodeError):
        return False
    return any(line.removeprefix("EXPORT ").strip().startswith(names) for line in text.splitlines())
