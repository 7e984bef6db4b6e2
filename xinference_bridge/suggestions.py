"""The nearest known word to one that is not known, for messages that help."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest_first(word: str, known: Iterable[str]) -> list[str]:
    """The known words, the one most like `word` first; equally near ones keep their order."""
    lower = word.lower()
    return sorted(known, key=lambda other: -difflib.SequenceMatcher(None, lower, other.lower()).ratio())


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` when a known word is near, else the list of what is known."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(names)}"
