"""The generated tables on the pages are up to date; `make docs-tables` renews them."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from tests.docs.generated import ROOT, generated, pages, renewed
from tests.support.versions import needs
from xinference_bridge.cli.app import app


@needs("typer>=0.26", "an option that is repeated has no words there")
@pytest.mark.parametrize("path", pages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_generated_table_is_as_the_code_writes_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == renewed(text)


def test_each_generated_table_stands_on_a_page() -> None:
    everywhere = "".join(path.read_text(encoding="utf-8") for path in pages())
    assert [name for name in generated() if f"<!-- generated: {name} -->" not in everywhere] == []


def test_every_command_has_a_section_of_its_own() -> None:
    page = (ROOT / "docs/command-line.md").read_text(encoding="utf-8")
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        assert f"\n## {name}\n" in page
        assert f"<!-- generated: {name} -->" in page
