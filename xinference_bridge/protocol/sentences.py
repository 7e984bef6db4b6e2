"""A text that is still being written → its sentences, each as soon as it is complete. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

#: What ends a sentence: a mark with what closes around it and a space after it, a mark of CJK, or a line's end.
_END = re.compile(r"[.!?…]+[\"'”\u2019)\]]*(?=\s)|[。\uff01\uff1f]+[」』”\u2019\uff09]*|\n")
#: What a point stands behind without ending a sentence: a list's number, an initial, an abbreviation.
_NO_END = re.compile(
    r"(?:(?:^|\n)\s*\d{1,3}|(?:^|[\s(\[\"'])"
    r"(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|etc|e\.g|i\.e|approx|Fig|No|Nr|bzw|ca|z\.B))\.$"
)
#: No abbreviation above is longer, with what stands before it.
_LOOK_BACK = 16
#: A text without any mark is spoken in pieces of about this length: its listener waits.
_LONGEST = 600


class SentenceSplitter:
    """Cuts a growing text into sentences. Put together, they are the text but for the space between them."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> Iterator[str]:
        """Yield the sentences that this text completes; one without a letter or digit goes with the one after it."""
        rest = self._rest + text
        begin = searched = 0
        while (cut := _next_cut(rest, searched)) is not None:
            searched = cut
            if any(letter.isalnum() for letter in rest[begin:cut]):
                yield rest[begin:cut].strip()
                begin = cut
        self._rest = rest[begin:]

    def finish(self) -> Iterator[str]:
        """Yield what is left, where it has a letter or digit."""
        rest, self._rest = self._rest.strip(), ""
        if any(letter.isalnum() for letter in rest):
            yield rest


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a whole text."""
    splitter = SentenceSplitter()
    return [*splitter.feed(text), *splitter.finish()]


def _next_cut(text: str, begin: int) -> int | None:
    for end in _END.finditer(text, begin):
        if end.end() - begin > _LONGEST:
            break
        if end.group() != "." or not _NO_END.search(text[max(0, end.end() - _LOOK_BACK) : end.end()]):
            return end.end()
    if len(text) - begin <= _LONGEST:
        return None
    space = text.rfind(" ", begin + 1, begin + _LONGEST)
    return space if space > 0 else begin + _LONGEST
