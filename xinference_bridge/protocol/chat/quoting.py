"""Detects whether a position in an answer is in code: a fenced block or a span between backticks. Pure."""

from __future__ import annotations

import re

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


#: Characters of a line that decide whether it opens or closes a block.
_HEAD = 100


class CodeTracker:
    """Reads the text of an answer as far as it came, each character once."""

    __slots__ = ("_fence", "_head", "_unread", "_waiting")

    def __init__(self) -> None:
        self._unread: list[str] = []
        self._head = ""  # the beginning of the last line
        self._waiting = 0  # the length of a run of backticks on that line that waits for its like
        self._fence = ""  # the marks that opened the block that the text stands in

    def add(self, text: str) -> None:
        """Note more text, to be read when somebody asks."""
        self._unread.append(text)

    def in_code(self) -> bool:
        """Return whether what follows the text so far stands in code."""
        lines = "".join(self._unread).split("\n")
        self._unread.clear()
        for number, line in enumerate(lines):
            if number:
                self._end_line()
            self._head += line[: _HEAD - len(self._head)]
            for run in re.findall("`+", line):
                if not self._waiting:
                    self._waiting = len(run)
                elif len(run) == self._waiting:
                    self._waiting = 0
        return bool(self._fence) or self._waiting > 0 or _FENCE.match(self._head) is not None

    def _end_line(self) -> None:
        marks = _FENCE.match(self._head)
        self._head = ""
        self._waiting = 0
        if marks is None:
            return
        if not self._fence:
            if "`" not in marks[2]:
                self._fence = marks[1]
        elif marks[1].startswith(self._fence) and not marks[2].strip():
            self._fence = ""
