"""Splits a growing text into sentences, each as soon as it is complete. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

#: The end of a sentence: a mark with closing quotes or brackets and a space, a CJK mark, or the end of a line.
_END = re.compile(r"[.!?…]+[\"'”\u2019)\]]*(?=\s)|[。\uff01\uff1f]+[」』”\u2019\uff09]*|\n")
#: A period after these does not end a sentence: a list number, an initial, an abbreviation.
_NO_END = re.compile(
    r"(?:(?:^|\n)\s*\d{1,3}|(?:^|[\s(\[\"'])"
    r"(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|etc|e\.g|i\.e|approx|Fig|No|Nr|bzw|ca|z\.B))\.$"
)
#: No abbreviation above is longer, including the character before it.
_LOOK_BACK = 16
#: A text without punctuation is spoken in pieces of about this length, because a listener is waiting.
_LONGEST = 600


class SentenceSplitter:
    """Splits a growing text into sentences. Joined, they are the text except for the whitespace between them."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> Iterator[str]:
        """Yield the sentences that this text completes. One without a letter or digit is joined to the next."""
        rest = self._rest + text
        begin = searched = 0
        while (cut := _next_cut(rest, searched)) is not None:
            searched = cut
            if any(letter.isalnum() for letter in rest[begin:cut]):
                yield rest[begin:cut].strip()
                begin = cut
        self._rest = rest[begin:]

    def finish(self) -> Iterator[str]:
        """Yield the rest if it has a letter or digit."""
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
