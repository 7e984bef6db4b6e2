"""The lab's output: one line per step, and one kind of error that ends a command."""

from __future__ import annotations

import sys
import time

_STARTED = time.monotonic()


class LabError(Exception):
    """An error with its cause and the next step, printed without a traceback."""


def say(text: str) -> None:
    """Print one step with the seconds since the command started. Flushed, so that a log shows it immediately."""
    print(f"[lab {time.monotonic() - _STARTED:5.0f}s] {text}", flush=True)


def fail(text: str) -> None:
    """Print an error to stderr."""
    print(f"[lab] FAILED: {text}", file=sys.stderr, flush=True)
