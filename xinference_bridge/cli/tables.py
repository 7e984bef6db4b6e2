"""The running models as a table: what `xinference list` prints, plus what matters to the frameworks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from xinference_bridge.printable import harmless, harmless_json
from xinference_bridge.protocol.model_info import ModelInfo


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    value: Callable[[ModelInfo], str | int | None]
    justify: Literal["left", "right"] = "left"

    def cell(self, model: ModelInfo) -> str:
        value = self.value(model)
        return "" if value is None else harmless(str(value))


def size_of(model: ModelInfo) -> str | None:
    """Return the size in billions of parameters. The server writes 0.5 as `0_5`."""
    return None if model.size is None else model.size.replace("_", ".")


_COLUMNS = (
    _Column("UID", lambda model: model.uid),
    _Column("Type", lambda model: model.type),
    _Column("Name", lambda model: model.name),
    _Column("Format", lambda model: model.format),
    _Column("Size (B)", size_of, "right"),
    _Column("Quantization", lambda model: model.quantization),
    _Column("Engine", lambda model: model.engine),
    _Column("Abilities", lambda model: ",".join(model.abilities)),
    _Column("Context", lambda model: model.context_length or model.max_tokens, "right"),
    _Column("Dimensions", lambda model: model.dimensions, "right"),
    _Column("Replicas", lambda model: model.replicas, "right"),
)
_UID_STYLE = "bold cyan"
_ROOMY = 10_000


def models_as_json(models: Sequence[ModelInfo]) -> str:
    """Return every model with all its fields, as JSON text."""
    return harmless_json(json.dumps([asdict(model) for model in models], indent=2, ensure_ascii=False))


def print_models(models: Sequence[ModelInfo], console: Console) -> None:
    """Print one row per model, or one paragraph per model if the terminal is too narrow. Nothing is cut off."""
    columns = [column for column in _COLUMNS if any(column.cell(model) for model in models)]
    table = _table(models, columns)
    if _width(table, console) <= console.width:
        console.print(table)
        return
    for model in models:
        console.print(Text(harmless(model.uid), style=_UID_STYLE), soft_wrap=True)
        pairs = ((column.heading[:1].lower() + column.heading[1:], column.cell(model)) for column in columns[1:])
        words = Text(", ").join(Text.assemble((name, "dim"), " ", value) for name, value in pairs if value)
        console.print(Padding(words, (0, 0, 0, 4)))


def _width(table: Table, console: Console) -> int:
    """Return the width of the table when nothing is cut off."""
    return Measurement.get(console, console.options.update(width=_ROOMY), table).maximum


def _table(models: Sequence[ModelInfo], columns: Sequence[_Column]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        style = _UID_STYLE if column.heading == "UID" else ""
        table.add_column(column.heading, justify=column.justify, no_wrap=True, style=style)
    for model in models:
        table.add_row(*(Text(column.cell(model)) for column in columns))
    return table
