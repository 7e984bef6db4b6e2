"""Read texts, with their other fields, from CSV, JSON and Parquet files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import orjson

from xinference_bridge.errors import XinferenceConfigurationError

_ROWS_A_GROUP = 1024


def csv_records(path: Path, *, delimiter: str = ",") -> Iterator[tuple[int, dict[str | None, Any]]]:
    """Yield each record with the number of its last line. The first line has the field names.

    Cells without a header are stored under None.

    Raises:
        XinferenceConfigurationError: There is no header, or the file is not UTF-8.
    """
    with path.open("rb") as raw, TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text, delimiter=delimiter)
        try:
            if not reader.fieldnames:
                return
            for record in reader:
                yield reader.line_num, record
        except UnicodeDecodeError as error:
            msg = (
                f"{path}, after line {reader.line_num}: is not UTF-8 ({error.reason}); convert it with `iconv -t UTF-8`"
            )
            raise XinferenceConfigurationError(msg) from None
        except csv.Error as error:
            raise XinferenceConfigurationError(f"{path}, line {reader.line_num}: is not CSV ({error})") from None


def json_entries(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the entries of a JSON array, numbered from 1. Reads the whole file.

    Raises:
        XinferenceConfigurationError: The file is not a JSON array.
    """
    try:
        value = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
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
            for batch in file.iter_batches(_ROWS_A_GROUP):
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
    except arrow.ArrowInvalid as error:
        raise XinferenceConfigurationError(f"{path}: is not Parquet ({error})") from None


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
