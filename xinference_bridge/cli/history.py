"""What was typed in earlier conversations: the arrow keys bring it back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LINES = 1000


def history_file() -> Path:
    """Return where the history is kept: `$XDG_STATE_HOME` or `~/.local/state`, readable by its owner alone."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "xinference-bridge" / "chat_history"


@contextmanager
def kept_history() -> Iterator[None]:
    """Give `input` its editing keys and the lines of earlier conversations; keep the new ones at the end.

    Where there is no readline (Windows), or the folder cannot be written, nothing is kept.
    """
    try:
        import readline
    except ImportError:
        yield
        return
    path = history_file()
    with suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        readline.set_history_length(_LINES)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            readline.write_history_file(path)
