"""Read texts from files: plain lines, JSONL, CSV, JSON arrays and Parquet. All but JSON arrays are streamed."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from xinference_bridge.cli.tables_of_texts import count_parquet_rows, csv_records, json_entries, parquet_records
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.protocol.exact_json import loads_exact

_JSONL = frozenset({".jsonl", ".ndjson"})
#: Suffix → reader, which yields the number and value of each entry.
_READERS: dict[str, Callable[[Path], Iterator[tuple[int, Any]]]] = {
    ".csv": csv_records,
    ".tsv": lambda path: csv_records(path, delimiter="\t"),
    ".json": json_entries,
    ".parquet": parquet_records,
}
_TABLES = frozenset({".csv", ".tsv", ".parquet"})
#: Suffixes of files that contain no lines of text → what to do instead.
_REFUSED = {
    **dict.fromkeys((".pdf", ".doc", ".docx", ".odt", ".ppt", ".pptx", ".rtf", ".epub"), "extract its text first"),
    **dict.fromkeys((".html", ".htm"), "extract its text first"),
    **dict.fromkeys((".xls", ".xlsx", ".ods"), "export it as CSV first"),
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".7z"), "unpack it first"),
    **dict.fromkeys((".arrow", ".feather", ".orc", ".avro", ".npy", ".pkl"), "convert it to Parquet or JSONL first"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp", ".mp3", ".wav", ".mp4"), "only text can be embedded"),
}
STANDARD = Path("-")
READS = "one text per line, .jsonl, .json (an array), .csv, .tsv or .parquet"


_ADVICE = ". Use --skip-bad to skip it"


@dataclass(frozen=True, slots=True)
class Row:
    """One text, its place and the other fields of its row."""

    file: str
    line: int
    text: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass
class Skipped:
    """The entries without a text that `--skip-bad` skipped."""

    count: int = 0
    first: list[str] = field(default_factory=list)
    _most: int = 3

    def add(self, why: str) -> None:
        """Count an entry; keep the reason if it is among the first."""
        self.count += 1
        if len(self.first) < self._most:
            self.first.append(why)


def rows_of(files: Sequence[Path], text_field: str, skipped: Skipped | None = None) -> Iterator[Row]:
    """Yield every text in order. Blank lines are skipped.

    Args:
        files: Paths. `-` is standard input: plain lines or JSON objects.
        text_field: The field of an object that contains the text.
        skipped: Collects entries without a text. If None, the first one raises.

    Raises:
        XinferenceConfigurationError: The file type is not supported, or an entry has no text; the message names the
            file and line.
    """
    for path in files:
        for entry in _entries(path):
            try:
                yield _row(path, *entry, text_field)
            except XinferenceConfigurationError as error:
                if skipped is None:
                    raise
                skipped.add(error.message.removesuffix(_ADVICE))


def refuse_unreadable(path: Path) -> None:
    """Raise XinferenceConfigurationError for an unsupported file type, before anything is sent.

    Only regular files are looked into: what is read from a pipe is gone.
    """
    if path == STANDARD:
        return
    suffix = path.suffix.lower()
    if suffix in _REFUSED:
        msg = f"{path}: {suffix} files are not supported; {_REFUSED[suffix]}. Supported: {READS}"
        raise XinferenceConfigurationError(msg)
    if suffix == ".parquet" or (path.exists() and not path.is_file()):
        return
    with path.open("rb") as file:
        if b"\0" in file.read(4096):
            raise XinferenceConfigurationError(f"{path}: contains binary data. Supported: {READS}")


def count_rows(files: Sequence[Path]) -> int | None:
    """Return the approximate number of texts; None if that requires reading them."""
    if any(not path.is_file() or path.suffix.lower() == ".json" for path in files):
        return None
    total = 0
    for path in files:
        suffix = path.suffix.lower()
        if suffix == ".parquet":
            total += count_parquet_rows(path)
            continue
        with path.open("rb") as lines:
            total += sum(1 for line in lines if line.strip()) - (suffix in _TABLES)  # the header
    return total


def _entries(path: Path) -> Iterator[tuple[int, Any, bool]]:
    """Yield the number of each entry, the entry, and whether it still has to be parsed as JSON."""
    suffix = path.suffix.lower()
    reader = _READERS.get(suffix) if path != STANDARD else None
    if reader is not None:
        for number, entry in reader(path):
            yield number, entry, False
        return
    with _opened(path) as lines:
        for number, raw in enumerate(lines, start=1):
            if raw.strip():
                yield number, raw, suffix in _JSONL or (path == STANDARD and raw.lstrip().startswith(b"{"))


def _row(path: Path, number: int, entry: Any, is_json: bool, text_field: str) -> Row:
    where = f"{path}, {'row' if path.suffix.lower() in ('.json', '.parquet') else 'line'} {number}"
    if isinstance(entry, bytes):
        line = _decoded(entry, where, first=number == 1)
        if not is_json:
            return Row(_named(path), number, line.rstrip("\r\n"))
        try:
            entry = loads_exact(line)
        except ValueError as error:
            raise XinferenceConfigurationError(f"{where}: is not valid JSON ({error})") from None
    if isinstance(entry, str):
        return Row(_named(path), number, _said(entry, f"{where}: the text"))
    if isinstance(entry, dict) and None in entry:
        msg = f"{where}: has more cells than the header; quote a text that contains the delimiter"
        raise XinferenceConfigurationError(msg)
    text = entry.get(text_field) if isinstance(entry, dict) else None
    if not isinstance(text, str):
        has = f"it has {', '.join(entry)}" if isinstance(entry, dict) else f"it is a {type(entry).__name__}"
        if isinstance(entry, dict) and text_field in entry:
            has = f"it is {'empty' if text is None else f'a {type(text).__name__}'}"
        msg = f"{where}: no text in the field {text_field!r}; {has}. Use --field to name the field with the text"
        raise XinferenceConfigurationError(msg)
    fields = {key: _storable(other, f"{where}: the field {key!r}") for key, other in entry.items() if key != text_field}
    return Row(_named(path), number, _said(text, f"{where}: the text in the field {text_field!r}"), fields)


def _named(path: Path) -> str:
    """Return the path as JSON can hold it, with the bytes that are not UTF-8 escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _storable(value: Any, where: str) -> Any:
    """Return a field's value as JSON can hold it: dates and decimals as text, a float that is no number as null."""
    if isinstance(value, bytes):
        raise XinferenceConfigurationError(f"{where} holds bytes, which JSON cannot; leave the column out")
    if isinstance(value, dict):
        return {str(key): _storable(other, where) for key, other in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(other, where) for other in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (str, int, type(None))) else str(value)


def _said(text: str, where: str) -> str:
    if not text.strip():
        raise XinferenceConfigurationError(f"{where} is empty{_ADVICE}")
    return text


def _opened(path: Path) -> Any:
    return nullcontext(sys.stdin.buffer) if path == STANDARD else path.open("rb")


def _decoded(raw: bytes, where: str, *, first: bool) -> str:
    try:
        return raw.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as error:
        msg = f"{where}: is not UTF-8 ({error.reason}); convert it with `iconv -t UTF-8`"
        raise XinferenceConfigurationError(msg) from None


def piped_text() -> str:
    """Return all of standard input.

    Raises:
        XinferenceConfigurationError: It is not UTF-8.
    """
    return _decoded(sys.stdin.buffer.read(), "standard input", first=True).replace("\r\n", "\n")


def as_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the complete lines of a file. A last line without a newline was cut off while it was written."""
    for line in stream:
        if not line.endswith(b"\n"):
            return
        yield line
