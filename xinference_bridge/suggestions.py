"""Suggest the nearest known name for an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: difflib's ratio: `temprature` has 0.95 to temperature, `mirostat_tau` 0.5 to its nearest name.
_NEAR = 0.6


def nearest_first(word: str, known: Iterable[str]) -> list[str]:
    """Return the known words, most similar to `word` first. Equally similar ones keep their order."""
    lower = word.lower()
    return sorted(known, key=lambda other: -difflib.SequenceMatcher(None, lower, other.lower()).ratio())


def is_near(word: str, known: Iterable[str]) -> bool:
    """Return whether the word looks like a misspelled known one."""
    return bool(difflib.get_close_matches(word, list(known), n=1, cutoff=_NEAR))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` if a known word is similar, else the list of known words."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=_NEAR)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(names)}."
