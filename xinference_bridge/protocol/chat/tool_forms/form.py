"""The interface of a format: where a call begins and ends in the text, and how to parse it. Pure."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from xinference_bridge.protocol.chat.tool_forms.written import Offered, WrittenCall


class ToolForm(ABC):
    """A form of tool calls between two tags.

    `plausible` and `closes` are asked of what stands between the tags so far, so that their answers must not depend on
    how the text was cut.
    """

    __slots__ = ("closer", "opener")

    def __init__(self, opener: str, closer: str) -> None:
        self.opener = opener
        self.closer = closer

    @abstractmethod
    def plausible(self, inside: str) -> bool | None:
        """Return whether a call follows the opening tag; None while too little of it is known."""

    @abstractmethod
    def closes(self, inside: str) -> bool:
        """Return whether a closing tag that stands here ends the call, rather than being part of an argument."""

    @abstractmethod
    def read(self, inside: str, offered: Offered, *, closed: bool) -> list[WrittenCall] | None:
        """Return the calls between the tags, or None when this is text; `closed` is False when the answer broke off."""


_SPACE = re.compile(r"\s*")


def begins_with(inside: str, *starts: str) -> bool | None:
    """Return whether the text begins with one of these, white space aside; None while it may still become so."""
    words = inside.lstrip()
    if words.startswith(starts):
        return True
    return None if any(start.startswith(words) for start in starts) else False


def last_open(inside: str, opening: str, closing: str) -> bool:
    """Return whether the last tag of the two is the opening one."""
    return inside.rfind(opening) > inside.rfind(closing)


def parts(
    inside: str, opening: re.Pattern[str], closing: str, following: tuple[str, ...]
) -> list[tuple[re.Match[str], str]]:
    """Return each opening tag and its content: up to a closing tag that is followed as the form has it.

    A closing tag that is followed by anything else is part of the content: code may hold the very tags that it is
    written in. Where none is followed so before the next opening tag, the first one holds. An unclosed last part is
    left out.
    """
    found = []
    position = 0
    while (begin := opening.search(inside, position)) is not None:
        end = first = inside.find(closing, begin.end())
        if first == -1:
            break
        following_tag = opening.search(inside, first)
        limit = following_tag.start() if following_tag else len(inside)
        while end != -1 and not _followed(inside, end + len(closing), following):
            end = inside.find(closing, end + 1, limit)
        end = first if end == -1 else end
        found.append((begin, inside[begin.end() : end]))
        position = end + len(closing)
    return found


def _followed(inside: str, position: int, following: tuple[str, ...]) -> bool:
    space = _SPACE.match(inside, position)
    after = space.end() if space else position
    return after == len(inside) or inside.startswith(following, after)
