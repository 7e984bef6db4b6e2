"""The history of typed lines, for the arrow keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LINES = 1000


def history_file() -> Path:
    """Return the path of the history: below `$XDG_STATE_HOME` or `~/.local/state`, readable only by its owner."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "xinference-bridge" / "chat_history"


@contextmanager
def kept_history() -> Iterator[None]:
    """Give `input` line editing and the history of earlier conversations; save the new lines at the end.

    Without readline (Windows) or with a read-only folder, nothing is saved.
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
