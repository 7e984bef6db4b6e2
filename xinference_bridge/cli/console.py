"""Terminal output: no colours when piped, marks for any encoding, escaped control characters."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from xinference_bridge.printable import harmless

#: Piped output is never wrapped: `grep` and `awk` expect one line per item.
_UNFOLDED = 10_000
_NARROWEST = 20

#: A shorter secret may be a word in our own messages.
SHORTEST_TOKEN = 8
_STARS = "**********"

#: Status of a step → its mark, an ASCII mark for terminals without Unicode, and its style.
MARKS = {
    "ok": ("✓", "+", "bold green"),
    "warning": ("!", "!", "bold yellow"),
    "failed": ("✗", "x", "bold red"),
    "skipped": ("·", "-", "dim"),
}


def output() -> Console:
    """Return a console on the current standard output."""
    width = None if sys.stdout.isatty() else _UNFOLDED
    return Console(highlight=False, markup=False, emoji=False, width=width)


def messages() -> Console:
    """Return a console on standard error: errors, progress, notes."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def speaks_unicode(console: Console) -> bool:
    """Return whether the console's encoding is a Unicode one."""
    return console.encoding.lower().replace("-", "").startswith("utf")


def mark(status: str, console: Console) -> Text:
    """Return the mark of a step's status."""
    fancy, plain, style = MARKS[status]
    return Text(fancy if speaks_unicode(console) else plain, style=style)


def print_hanging(first: Text, text: Text, console: Console) -> None:
    """Print the text with a hanging indent below its label."""
    indent = first.cell_len
    for number, line in enumerate(text.wrap(console, max(console.width - indent, _NARROWEST))):
        line.rstrip()
        console.print(Text.assemble(first if number == 0 else " " * indent, line), soft_wrap=True)


def complain(error: BaseException, text: str, *, debug: bool, secrets: Iterable[str] = ()) -> None:
    """Print an error on one line of standard error, after its traceback if `debug`. Both have secrets masked."""
    console = messages()
    secrets = tuple(secrets)
    said = getattr(error, "body", None) or ""
    trace = "".join(traceback.format_exception(error)) if debug else ""
    if trace:
        console.print(Text(harmless(_starred(trace, secrets, said)).rstrip(), style="dim"), soft_wrap=True)
    line = " ".join(harmless(_starred(text, secrets, said)).split())
    console.print(Text.assemble(("error: ", "bold red"), line), soft_wrap=True)


def _starred(text: str, secrets: Iterable[str], said: str) -> str:
    """Return the text without the secrets that a server repeated.

    A secret as short as a word is masked only in the server's text. Otherwise a password `no` would mask part of the
    word "not" in our messages.
    """
    hidden = said
    for secret in filter(str.strip, secrets):
        hidden = hidden.replace(secret, _STARS)
        if len(secret) >= SHORTEST_TOKEN:
            text = text.replace(secret, _STARS)
    for secret in filter(str.strip, secrets):
        said = said.replace(secret, _STARS) if len(secret) >= SHORTEST_TOKEN else said
    return text.replace(said, hidden) if said else text
