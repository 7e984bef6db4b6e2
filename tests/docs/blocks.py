"""The blocks of code in a page, each with its author's annotations. Pure.

A comment on the line before a block, invisible to readers, says what is special about it:

    <!-- not run: WHY -->   it is only parsed; the reason is for whoever reads the source
    <!-- fresh -->          it begins without the names of the blocks before it
    <!-- raises: NAME -->   it ends in an exception of this class
    <!-- prints -->         a text block: what the block of Python before it printed
    <!-- file: NAME -->     it is the content of this file, which the test of the page uses
    <!-- needs: A>=1 -->    it is left out on older versions of A, which are admitted too
    <!-- before: … -->      it is written for another package; `make test-migration` runs it
    <!-- after -->          what becomes of the block before it; `after: imports alone` when nothing else changes
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,})(?P<language>[\w+-]*)(?P<more>[^\n`]*)$")
_COMMENT = re.compile(
    r"^\s*<!--\s*(?P<word>not run|fresh|raises|prints|file|needs|before|after)\s*(?::\s*(?P<rest>.*?))?\s*-->\s*$"
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its first line of code, its language and its annotations."""

    page: str
    line: int
    language: str
    text: str
    remark: str | None = None
    said: str | None = None

    @property
    def place(self) -> str:
        """As editors and terminals write it."""
        return f"{self.page}:{self.line}"


def blocks_of(text: str, page: str, first_line: int = 1) -> list[Block]:
    """The blocks of a Markdown text, in order; `first_line` is where the text begins in its file."""
    return list(_read(text.splitlines(), page, first_line))


def _read(lines: list[str], page: str, first_line: int) -> Iterator[Block]:
    remark: re.Match[str] | None = None
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if comment := _COMMENT.match(line):
            remark = comment
        elif fence := _FENCE.match(line):
            begin = number
            while number < len(lines) and lines[number].strip() != fence["fence"]:
                number += 1
            if number == len(lines):
                raise ValueError(f"{page}:{first_line + begin - 1}: a block that does not end")
            code = textwrap.dedent("\n".join(lines[begin:number])) + "\n"
            yield Block(
                page,
                first_line + begin,
                fence["language"],
                code,
                remark["word"] if remark else None,
                remark["rest"] if remark else None,
            )
            number += 1
            remark = None
        elif line.strip():
            remark = None


def blocks_of_file(path: Path, root: Path) -> list[Block]:
    """The blocks of a page."""
    return blocks_of(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix())
