"""How the lab talks: one line a step, and one kind of error that ends a command."""

from __future__ import annotations

import sys
import time

_STARTED = time.monotonic()


class LabError(Exception):
    """What went wrong and what to do next, in words that are printed without a traceback."""


def say(text: str) -> None:
    """Print one step with the seconds since the command began; flushed, so that a log shows it at once."""
    print(f"[lab {time.monotonic() - _STARTED:5.0f}s] {text}", flush=True)


def fail(text: str) -> None:
    """Print an error to stderr."""
    print(f"[lab] FAILED: {text}", file=sys.stderr, flush=True)
