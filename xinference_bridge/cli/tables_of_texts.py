"""Read texts, with their other fields, from CSV, JSON and Parquet files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.protocol.exact_json import loads_exact

_ROWS_A_GROUP = 1024
_LONGEST_CELL = 2**31 - 1  # what fits a C long on every system; the default of 131,072 is less than a chapter


def csv_records(path: Path, *, delimiter: str = ",") -> Iterator[tuple[int, dict[str | None, Any]]]:
    """Yield each record with the number of its last line. The first line has the field names.

    Cells without a header are stored under None.

    Raises:
        XinferenceConfigurationError: The header has a name twice, a quote is not closed, or the file is not UTF-8.
    """
    csv.field_size_limit(_LONGEST_CELL)
    with path.open("rb") as raw, TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text, delimiter=delimiter, strict=True)
        begun = 1
        try:
            if not reader.fieldnames:
                return
            _refuse_twice(path, reader.fieldnames)
            begun = reader.line_num + 1
            for record in reader:
                yield reader.line_num, record
                begun = reader.line_num + 1
        except UnicodeDecodeError as error:
            msg = (
                f"{path}, after line {reader.line_num}: is not UTF-8 ({error.reason}); convert it with `iconv -t UTF-8`"
            )
            raise XinferenceConfigurationError(msg) from None
        except csv.Error as error:
            cut = "; a quote that opens here is never closed" if "unexpected end of data" in str(error) else ""
            msg = f"{path}, line {begun}: is not CSV ({error}{cut})"
            raise XinferenceConfigurationError(msg) from None


def json_entries(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the entries of a JSON array, numbered from 1. Reads the whole file.

    Raises:
        XinferenceConfigurationError: The file is not a JSON array.
    """
    try:
        value = loads_exact(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        msg = f"{path}: is not JSON ({error}). For one object per line, use the suffix .jsonl"
        raise XinferenceConfigurationError(msg) from None
    if not isinstance(value, list):
        raise XinferenceConfigurationError(
            f"{path}: must contain a JSON array of strings or objects, got {_word_for(value)}"
        )
    yield from enumerate(value, start=1)


def parquet_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each row, numbered from 1. Reads one row group at a time.

    Raises:
        XinferenceConfigurationError: pyarrow is not installed, or the file is not Parquet.
    """
    arrow = pyarrow()
    number = 0
    try:
        with arrow.parquet.ParquetFile(path) as file:
            _refuse_twice(path, file.schema_arrow.names)
            for batch in file.iter_batches(_ROWS_A_GROUP):
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
    except arrow.ArrowInvalid as error:
        raise XinferenceConfigurationError(f"{path}: is not Parquet ({error})") from None
    except OSError as error:
        if error.filename is not None or error.errno is not None:
            raise
        msg = f"{path}, after row {number}: the file is damaged ({error})"
        raise XinferenceConfigurationError(msg) from None


def _refuse_twice(path: Path, names: Sequence[str]) -> None:
    """Raise XinferenceConfigurationError if two columns have one name: one of them would be lost."""
    for place, name in enumerate(names):
        if name in names[:place]:
            raise XinferenceConfigurationError(f"{path}: two columns are named {name!r}; rename one")


def count_parquet_rows(path: Path) -> int:
    """Return the number of rows from the file's metadata."""
    with pyarrow().parquet.ParquetFile(path) as file:
        return int(file.metadata.num_rows)


def pyarrow() -> Any:
    """Return pyarrow, with its Parquet module loaded.

    Raises:
        XinferenceConfigurationError: It is not installed; the message names the extra to install.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ModuleNotFoundError:
        msg = 'Parquet needs pyarrow: pip install "xinference-bridge[parquet]". JSONL works without it'
        raise XinferenceConfigurationError(msg) from None
    return pa


def _word_for(value: Any) -> str:
    return "an object" if isinstance(value, dict) else "a string" if isinstance(value, str) else "a value"
