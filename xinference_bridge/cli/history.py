"""The lines that were typed, kept from one conversation to the next, as a shell keeps them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MOST_LINES = 1000


def history_file() -> Path:
    """Return where the lines are kept: `xinference-bridge/history` in the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "xinference-bridge" / "history"


@contextmanager
def input_history() -> Iterator[None]:
    """Give `input` its editing and the history of earlier conversations; without readline, neither."""
    try:
        import readline
    except ImportError:  # Windows
        yield
        return
    path = history_file()
    with suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.set_history_length(_MOST_LINES)
            readline.write_history_file(path)
            path.chmod(0o600)
