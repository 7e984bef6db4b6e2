"""Selects the models that this machine and this server version can run."""

from __future__ import annotations

import os

from lab.models import MEDIA, REAL
from lab.paths import DEFAULT_XINFERENCE
from lab.say import say

_MEDIA_NEEDS_GIB = 16.0
"""The whole lab takes 13 GiB, and the tests need some memory too."""


def choose(names: list[str], version: str, *, cluster: bool, asked_for: bool) -> list[str]:
    """Return the names of the models to launch. Print which are left out, and why."""
    if cluster or version != DEFAULT_XINFERENCE:
        why = "a cluster runs the tiny models alone" if cluster else f"they need Xinference {DEFAULT_XINFERENCE}"
        return _without(names, (*REAL, *MEDIA), why)
    if asked_for:
        return names
    if os.environ.get("MEDIA") == "0":
        return _without(names, MEDIA, "MEDIA=0")
    memory = memory_gib()
    if memory is not None and memory < _MEDIA_NEEDS_GIB:
        why = f"this machine has {memory:.0f} GiB of memory, and the whole lab needs {_MEDIA_NEEDS_GIB:.0f}"
        return _without(names, MEDIA, why)
    return names


def memory_gib() -> float | None:
    """Return this machine's memory in GiB, or None if it is unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        return None


def _without(names: list[str], left_out: tuple[str, ...], why: str) -> list[str]:
    absent = [name for name in names if name in left_out]
    if absent:
        say(f"left out: {', '.join(absent)} ({why})")
    return [name for name in names if name not in left_out]
