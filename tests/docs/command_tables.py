"""Tables of the command line, read from the commands themselves."""

from __future__ import annotations

import inspect
from typing import Any

import typer

from tests.docs.generated import table
from xinference_bridge.cli.app import app
from xinference_bridge.cli.conversation import _ALIASES, COMMANDS
from xinference_bridge.cli.inputs import Row
from xinference_bridge.cli.options import _common
from xinference_bridge.cli.vectors import _stored

_CLICK: Any = typer.main.get_command(app)
NAMES: tuple[str, ...] = tuple(_CLICK.commands)
_SHARED = frozenset(inspect.signature(_common).parameters)

#: The fields of a line of the JSONL output.
_JSONL = {
    "file": "the file that the text comes from",
    "line": "its line; in CSV, JSON and Parquet its row; from 1",
    "text": "the text",
    "fields": "the other fields of its row",
    "model": "the UID of the model",
    "embedding": "the vector: a list of numbers",
}


def commands() -> str:
    """Return the commands, each with the first sentence of its help."""
    rows = [[f"[`{name}`](#{name})", _first_sentence(command.help)] for name, command in _CLICK.commands.items()]
    return table(["command", "what it does"], rows)


def connection_options() -> str:
    """Return the options that all commands share."""
    return _options(next(iter(_CLICK.commands.values())), shared=True)


def options_of(command: str) -> str:
    """Return the arguments and options of one command, without the shared ones."""
    return _options(_CLICK.commands[command], shared=False)


def slash_commands() -> str:
    """Return what can be typed after a slash, with other names for it."""
    others: dict[str, list[str]] = {}
    for alias, command in _ALIASES.items():
        others.setdefault(command.help, []).append(f"`/{alias}`")
    rows = []
    for name, command in COMMANDS.items():
        also = f" (also {', '.join(others[command.help])})" if command.help in others else ""
        rows.append(
            [f"`/{name}{' ' + command.takes if command.takes else ''}`".replace("|", "\\|"), command.help + also]
        )
    rows += [
        ['`"""`', "begins and ends a multi-line message"],
        ["`//…`", "a message that begins with a slash"],
        ["Ctrl-C", "stops an answer; its text so far is kept"],
    ]
    return table(["typed", "what it does"], rows)


def jsonl() -> str:
    """Return the fields of a line of the output. Raise KeyError for a field without a description."""
    stored = [*_stored("uid", Row("f", 1, "t")), "embedding"]
    return table(["field", "what it is"], [[f"`{name}`", _JSONL[name]] for name in stored])


def _options(command: Any, *, shared: bool) -> str:
    rows = []
    for parameter in command.params:
        if (parameter.name in _SHARED) is not shared or parameter.name == "help":
            continue
        if parameter.param_type_name == "argument":
            rows.append([f"`{(parameter.metavar or parameter.name).strip('[]')}`", parameter.help])
            continue
        names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
        value = f" `{parameter.metavar}`" if parameter.metavar else ""
        default = f" Default: {parameter.default}." if _has_default(parameter) else ""
        rows.append([names + value, f"{parameter.help}{default}"])
    return table(["argument or option" if not shared else "option", "what it does"], rows)


def _has_default(parameter: Any) -> bool:
    return parameter.default is not None and not isinstance(parameter.default, bool) and not callable(parameter.default)


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())
