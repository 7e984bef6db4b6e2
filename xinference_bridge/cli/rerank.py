"""`rerank`: rank the texts in a file by relevance to a query."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from xinference_bridge.cli.console import print_hanging
from xinference_bridge.cli.inputs import Row, refuse_unreadable, rows_of
from xinference_bridge.models.batching import batches_of, run_batches_in_order
from xinference_bridge.models.rerank import RerankHandle
from xinference_bridge.printable import harmless, harmless_json

#: A reranker scores each document separately, so a long file can be split and the scores stay comparable.
_DOCUMENTS_A_REQUEST = 256


@dataclass(frozen=True, slots=True)
class Ranked:
    """One text and how relevant it is."""

    score: float
    row: Row


def ranked(model: RerankHandle, query: str, file: Path, *, field: str, top_n: int | None) -> list[Ranked]:
    """Return the texts of the file, most relevant first; only the best `top_n`, if given."""
    refuse_unreadable(file)
    rows = list(rows_of([file], field))
    found = []
    batches = batches_of((row.text for row in rows), _DOCUMENTS_A_REQUEST)
    for batch, results in run_batches_in_order(
        lambda batch: model.rerank(query, batch.texts, {}), batches, concurrency=2, done="scored"
    ):
        found += [Ranked(result.relevance_score, rows[batch.start + result.index]) for result in results]
    return sorted(found, key=lambda one: -one.score)[:top_n]


def ranking_as_json(ranking: Sequence[Ranked]) -> str:
    """Return the ranking as JSON text: score, line, text and fields of each, best first."""
    entries = [
        {"score": one.score, "line": one.row.line, "text": one.row.text, "fields": one.row.fields} for one in ranking
    ]
    return harmless_json(json.dumps(entries, indent=2, ensure_ascii=False))


def print_ranking(ranking: Sequence[Ranked], console: Console) -> None:
    """Print score, line number and text of each, best first."""
    scores = [f"{one.score:.4f}" for one in ranking]
    lines = [str(one.row.line) for one in ranking]
    score_width, line_width = (max(map(len, column), default=0) for column in (scores, lines))
    for score, line, one in zip(scores, lines, ranking, strict=True):
        first = Text.assemble((f"{score:>{score_width}}", "bold"), (f"  {line:>{line_width}}  ", "dim"))
        print_hanging(first, Text(harmless(one.row.text)), console)
