"""Files of texts, read row by row: plain text, JSONL, JSON, CSV or Parquet; any other format is refused by name."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from xinference_bridge.cli.parquet import read_rows as parquet_rows
from xinference_bridge.errors import XinferenceConfigurationError

STANDARD = Path("-")
_JSONL = frozenset({".jsonl", ".ndjson"})
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_PARQUET = frozenset({".parquet"})
#: A file of these holds no lines of text; what to do instead.
_REFUSED = {
    **dict.fromkeys((".pdf", ".doc", ".docx", ".odt", ".ppt", ".pptx", ".rtf", ".epub"), "extract its text first"),
    **dict.fromkeys((".xls", ".xlsx", ".ods"), "export it as CSV first"),
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".7z"), "unpack it first"),
    **dict.fromkeys((".arrow", ".feather", ".orc", ".avro", ".npy", ".pkl"), "convert it to Parquet or JSONL first"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp", ".mp3", ".wav", ".mp4"), "only texts are embedded"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One text, where it stood, and what stood beside it. `line` counts rows in CSV, JSON and Parquet."""

    file: str
    line: int
    text: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that has no text to read, and why."""

    why: str


@dataclass(slots=True)
class Skipped:
    """The bad rows that were passed over: how many, and why the first of them was."""

    count: int = 0
    first: str = ""

    def add(self, bad: BadRow) -> None:
        """Count one more."""
        self.first = self.first or bad.why
        self.count += 1


def rows_of(files: Sequence[Path], text_field: str, skipped: Skipped | None = None) -> Iterator[Row]:
    """Return every text in order; blank lines are none.

    Raises:
        XinferenceConfigurationError: A row has no text, unless `skipped` collects such rows; or a file is of a format
            that is not read.
    """
    for path in files:
        for row in _reader(path)(path, text_field):
            if isinstance(row, Row):
                yield row
            elif skipped is not None:
                skipped.add(row)
            else:
                raise XinferenceConfigurationError(row.why)


def refuse_unreadable(files: Sequence[Path]) -> None:
    """Raise XinferenceConfigurationError for a file of a format that is not read, before anything is sent."""
    for path in files:
        _reader(path)


def count_rows(files: Sequence[Path]) -> int | None:
    """How many texts there are; None where only reading them would tell."""
    if any(not path.is_file() or _reader(path) is not _lines for path in files):
        return None
    total = 0
    for path in files:
        with path.open("rb") as lines:
            total += sum(1 for line in lines if line.strip())
    return total


_Reader = Callable[[Path, str], Iterator["Row | BadRow"]]


def _reader(path: Path) -> _Reader:
    suffix = path.suffix.lower()
    if suffix in _REFUSED:
        msg = (
            f"{path}: {suffix} files are not supported; {_REFUSED[suffix]}. Supported: .txt (one text per line), "
            ".jsonl, .json, .csv, .tsv, .parquet"
        )
        raise XinferenceConfigurationError(msg)
    if suffix == ".json":
        return _json_array
    if suffix in _DELIMITERS:
        return _table
    return _parquet if suffix in _PARQUET else _lines


def _lines(path: Path, text_field: str) -> Iterator[Row | BadRow]:
    reads_json = path.suffix.lower() in _JSONL
    with _opened(path) as lines:
        for number, raw in enumerate(lines, start=1):
            if not raw.strip():
                continue
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                yield BadRow(
                    f"{path}, line {number}: is not UTF-8 ({error.reason}); `iconv -t UTF-8` converts the file"
                )
                continue
            if reads_json or (path == STANDARD and line.startswith("{")):
                yield _from_json(line, path, number, text_field)
            else:
                yield Row(str(path), number, line.rstrip("\r\n"))


def _opened(path: Path) -> Any:
    return nullcontext(sys.stdin.buffer) if path == STANDARD else path.open("rb")


def _from_json(line: str, path: Path, number: int, text_field: str) -> Row | BadRow:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return BadRow(f"{path}, line {number}: is not JSON ({error})")
    return _from_value(value, path, f"line {number}", number, text_field)


def _json_array(path: Path, text_field: str) -> Iterator[Row | BadRow]:
    try:
        values = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        msg = f"{path}: is not JSON ({error}); one object per line is JSONL: name the file .jsonl"
        raise XinferenceConfigurationError(msg) from None
    if not isinstance(values, list):
        msg = f"{path}: must hold a JSON array of strings or objects, got {_kind(values)}"
        raise XinferenceConfigurationError(msg)
    for number, value in enumerate(values, start=1):
        yield _from_value(value, path, f"entry {number}", number, text_field)


def _table(path: Path, text_field: str) -> Iterator[Row | BadRow]:
    with path.open(encoding="utf-8-sig", newline="", errors="surrogateescape") as file:
        rows = csv.DictReader(file, delimiter=_DELIMITERS[path.suffix.lower()], restkey="", restval="")
        _require_column(path, rows.fieldnames or (), text_field)
        for number, row in enumerate(rows, start=1):
            text = row.pop(text_field)
            if any("\udc80" <= letter <= "\udcff" for letter in text):
                yield BadRow(f"{path}, row {number}: is not UTF-8; `iconv -t UTF-8` converts the file")
            elif text.strip():
                fields = {key: _clean(value) for key, value in row.items() if key}
                yield Row(str(path), number, text, fields)
            else:
                yield BadRow(f"{path}, row {number}: {text_field!r} is empty")


def _clean(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()


def _parquet(path: Path, text_field: str) -> Iterator[Row | BadRow]:
    for number, value in enumerate(
        parquet_rows(path, lambda columns: _require_column(path, columns, text_field)), start=1
    ):
        yield _from_value(value, path, f"row {number}", number, text_field)


def _require_column(path: Path, columns: Sequence[str], text_field: str) -> None:
    if text_field not in columns:
        has = f"it has {', '.join(map(repr, columns))}" if columns else "it is empty"
        msg = f"{path}: no column {text_field!r}; {has}. --field names the one that holds the text"
        raise XinferenceConfigurationError(msg)


def _from_value(value: Any, path: Path, place: str, number: int, text_field: str) -> Row | BadRow:
    if isinstance(value, str):
        return Row(str(path), number, value)
    text = value.get(text_field) if isinstance(value, dict) else None
    if isinstance(text, str):
        return Row(str(path), number, text, {key: other for key, other in value.items() if key != text_field})
    if isinstance(value, dict) and text_field in value:
        return BadRow(f"{path}, {place}: {text_field!r} must be a string, got {_kind(text)}")
    has = f"has {', '.join(value) or 'no fields'}" if isinstance(value, dict) else f"is {_kind(value)}"
    return BadRow(f"{path}, {place}: no text under {text_field!r}; it {has}. --field names the one that holds the text")


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def as_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """The complete lines of a file; a last one without its newline was cut off while it was written."""
    for line in stream:
        if not line.endswith(b"\n"):
            return
        yield line
