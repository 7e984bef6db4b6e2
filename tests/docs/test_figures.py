"""The tables of measurements on the pages are those of the last measurement."""

from __future__ import annotations

import pytest

from tests.docs.conftest import ROOT


@pytest.mark.parametrize(
    ("page", "heading", "measured"),
    [
        ("performance.md", "## Under load", "LOAD.md"),
        ("failover.md", "## Failover under load", "FAILOVER.md"),
        ("clusters.md", "## Throughput with one and two replicas", "CLUSTER.md"),
    ],
)
def test_each_row_of_a_page_stands_in_what_was_measured(page: str, heading: str, measured: str) -> None:
    section = (ROOT / "docs" / page).read_text(encoding="utf-8").split(f"\n{heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 3
    assert set(rows) <= set((ROOT / "benchmarks" / measured).read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize(("picture", "drawn"), [("benchmark", "results"), ("load", "load")])
def test_a_chart_on_the_pages_is_the_one_that_was_drawn(picture: str, drawn: str) -> None:
    shown = (ROOT / "docs" / "assets" / f"{picture}.svg").read_text(encoding="utf-8")
    made = (ROOT / "benchmarks" / f"{drawn}.svg").read_text(encoding="utf-8")
    assert shown.split() == made.split()


def test_the_page_on_observability_has_the_spans_of_both_instrumentations() -> None:
    page = (ROOT / "docs/observability.md").read_text(encoding="utf-8")
    for name in ("OpenLLMetry", "OpenInference"):
        assert f"\n**{name}**\n\n| | ChatXinference | ChatOpenAI |\n" in page
