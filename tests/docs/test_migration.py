"""The migration pages: where they claim that only the import line changes, it does."""

from __future__ import annotations

import difflib
from itertools import pairwise

import pytest

from tests.docs.blocks import Block, blocks_of_file
from tests.docs.conftest import ROOT

_PAIRS = [
    (before, after)
    for page in sorted((ROOT / "docs" / "migration").glob("*.md"))
    for before, after in pairwise(block for block in blocks_of_file(page, ROOT) if block.language == "python")
    if after.remark == "after"
]


def test_most_pages_have_a_pair() -> None:
    assert len({before.page for before, _ in _PAIRS}) >= 4


@pytest.mark.parametrize(("before", "after"), _PAIRS, ids=lambda block: block.place)
def test_every_after_follows_a_before(before: Block, after: Block) -> None:
    assert before.remark == "before"


@pytest.mark.parametrize(
    ("before", "after"), [pair for pair in _PAIRS if pair[1].said == "imports alone"], ids=lambda block: block.place
)
def test_where_it_says_so_the_imports_alone_differ(before: Block, after: Block) -> None:
    changed = [
        line[2:]
        for line in difflib.ndiff(before.text.splitlines(), after.text.splitlines())
        if line[:2] in ("- ", "+ ") and line[2:].strip()
    ]
    assert changed
    assert all(line.startswith(("from ", "import ")) for line in changed), changed
