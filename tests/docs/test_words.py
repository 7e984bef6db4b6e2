"""Phrases that are not idiomatic English do not come back."""

from __future__ import annotations

import re

from tests.docs.conftest import ROOT

_ODD = re.compile(
    r"under way|awaited twin|but awaited|tried again|cannot be meant|is no text but|nobody's|for ever\b", re.IGNORECASE
)
_FOLDERS = ("xinference_bridge", "langchain_xinference_bridge", "llamaindex_xinference_bridge", "docs", "examples")


def test_no_odd_phrase_is_in_the_package_or_on_a_page():
    paths = [path for folder in _FOLDERS for kind in ("*.py", "*.md") for path in (ROOT / folder).rglob(kind)]
    found = [
        f"{path.relative_to(ROOT)}: {phrase[0]}"
        for path in [*paths, ROOT / "README.md", ROOT / "CHANGELOG.md"]
        if (phrase := _ODD.search(path.read_text(encoding="utf-8")))
    ]
    assert found == []
