"""Parquet files, read and written in groups of rows, so that one larger than the memory is no problem."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from xinference_bridge.errors import XinferenceConfigurationError

_ROWS_A_GROUP = 1024


def pyarrow() -> Any:
    """Return the module pyarrow; without it, say how to install it."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ModuleNotFoundError:
        msg = 'Parquet needs pyarrow: pip install "xinference-bridge[parquet]". Or use .jsonl'
        raise XinferenceConfigurationError(msg) from None
    return pa


def read_rows(
    path: Path, check: Callable[[Sequence[str]], None] = lambda _columns: None, columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Return the rows as dicts, once `check` has seen the names of the columns.

    Raises:
        XinferenceConfigurationError: The file is no Parquet file, or lacks one of `columns`.
    """
    arrow = pyarrow()
    try:
        with arrow.parquet.ParquetFile(path) as file:
            check(file.schema_arrow.names)
            missing = [name for name in columns or () if name not in file.schema_arrow.names]
            if missing:
                raise XinferenceConfigurationError(f"{path}: has no column {missing[0]!r}")
            for batch in file.iter_batches(_ROWS_A_GROUP, columns=columns):
                yield from batch.to_pylist()
    except arrow.ArrowInvalid as error:
        raise XinferenceConfigurationError(f"{path}: is no Parquet file ({error})") from None


def write_rows(path: Path, rows: Iterable[dict[str, Any]], columns: Callable[[Any], dict[str, Any]]) -> None:
    """Write the rows; `columns` returns the types of the columns, given pyarrow."""
    arrow = pyarrow()
    schema = arrow.schema(columns(arrow))
    rest = iter(rows)
    with arrow.parquet.ParquetWriter(path, schema) as writer:
        while group := list(islice(rest, _ROWS_A_GROUP)):
            writer.write_table(arrow.Table.from_pylist(group, schema))
