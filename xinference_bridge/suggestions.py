"""The nearest known word to one that is not known, for messages that help."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Of difflib's ratio: `temprature` has 0.95 to temperature, `mirostat_tau` 0.5 to whatever is nearest.
_NEAR = 0.6


def nearest_first(word: str, known: Iterable[str]) -> list[str]:
    """The known words, the one most like `word` first; equally near ones keep their order."""
    lower = word.lower()
    return sorted(known, key=lambda other: -difflib.SequenceMatcher(None, lower, other.lower()).ratio())


def is_near(word: str, known: Iterable[str]) -> bool:
    """Whether the word looks like a known one misspelt."""
    return bool(difflib.get_close_matches(word, list(known), n=1, cutoff=_NEAR))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` when a known word is near, else the list of what is known."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=_NEAR)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(names)}."
