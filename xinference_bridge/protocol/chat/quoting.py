"""Whether a place in an answer stands in code: a fenced block, or a span between backticks. Pure."""

from __future__ import annotations

import re

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


class CodeTracker:
    """Reads the text of an answer as far as it came, each character once."""

    __slots__ = ("_fence", "_line", "_unread")

    def __init__(self) -> None:
        self._unread: list[str] = []
        self._line = ""  # the begun line
        self._fence = ""  # the marks that opened the block that the text stands in

    def add(self, text: str) -> None:
        """Note more text, to be read when somebody asks."""
        self._unread.append(text)

    def in_code(self) -> bool:
        """Return whether what follows the text so far stands in code."""
        *lines, self._line = (self._line + "".join(self._unread)).split("\n")
        self._unread.clear()
        for line in lines:
            self._end_line(line)
        return bool(self._fence) or _FENCE.match(self._line) is not None or _open_span(self._line)

    def _end_line(self, line: str) -> None:
        marks = _FENCE.match(line)
        if marks is None:
            return
        if not self._fence:
            if "`" not in marks[2]:
                self._fence = marks[1]
        elif marks[1].startswith(self._fence) and not marks[2].strip():
            self._fence = ""


def _open_span(line: str) -> bool:
    """Return whether a run of backticks on this line waits for its like."""
    waiting = 0
    for run in re.findall("`+", line):
        if not waiting:
            waiting = len(run)
        elif len(run) == waiting:
            waiting = 0
    return waiting > 0
