"""The command `xinference-bridge`. Only this package needs the extra `cli`."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

__all__ = ["main"]

_EXTRA = frozenset({"typer", "rich", "click", "shellingham", "PIL"})


def main() -> None:
    """Run the command line. Without its extra, print how to install it and exit with status 1."""
    try:
        from xinference_bridge.cli.app import app
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write('The command line needs its extra: pip install "xinference-bridge[cli]"\n')
        raise SystemExit(1) from None
    _prepare_streams()
    try:
        try:
            app(prog_name="xinference-bridge")
        finally:
            sys.stdout.flush()
    except OSError as error:  # a full disk, where typer prints the help or the interpreter what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.write(f"error: standard output: {error.strerror or error}\n")
        raise SystemExit(1) from None


def _prepare_streams() -> None:
    """Let every text be printed, whatever the encoding, and have all streams, also where the shell closed them."""
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 - open until the process ends
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
