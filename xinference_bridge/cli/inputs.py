"""Files of texts: plain lines, JSONL, CSV, JSON arrays and Parquet. All but JSON arrays are read a piece at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from xinference_bridge.cli.tables_of_texts import count_parquet_rows, csv_records, json_entries, parquet_records
from xinference_bridge.errors import XinferenceConfigurationError

_JSONL = frozenset({".jsonl", ".ndjson"})
#: Suffix → what reads it: number and entry of each.
_READERS: dict[str, Callable[[Path], Iterator[tuple[int, Any]]]] = {
    ".csv": csv_records,
    ".tsv": lambda path: csv_records(path, delimiter="\t"),
    ".json": json_entries,
    ".parquet": parquet_records,
}
_TABLES = frozenset({".csv", ".tsv", ".parquet"})
#: A file of these holds no lines of text, and would be embedded as rubbish; what to do instead.
_REFUSED = {
    **dict.fromkeys((".pdf", ".doc", ".docx", ".odt", ".ppt", ".pptx", ".rtf", ".epub"), "extract its text first"),
    **dict.fromkeys((".html", ".htm"), "extract its text first"),
    **dict.fromkeys((".xls", ".xlsx", ".ods"), "export it as CSV first"),
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".7z"), "unpack it first"),
    **dict.fromkeys((".arrow", ".feather", ".orc", ".avro", ".npy", ".pkl"), "convert it to Parquet or JSONL first"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp", ".mp3", ".wav", ".mp4"), "only texts are embedded"),
}
STANDARD = Path("-")
READS = "one text per line, .jsonl, .json (an array), .csv, .tsv or .parquet"


_ADVICE = ". --skip-bad leaves it out"


@dataclass(frozen=True, slots=True)
class Row:
    """One text, where it stood, and what stood beside it."""

    file: str
    line: int
    text: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass
class Skipped:
    """The entries that hold no text, left out where that was asked for."""

    count: int = 0
    first: list[str] = field(default_factory=list)
    _most: int = 3

    def add(self, why: str) -> None:
        """Count one, and remember why if it is among the first."""
        self.count += 1
        if len(self.first) < self._most:
            self.first.append(why)


def rows_of(files: Sequence[Path], text_field: str, skipped: Skipped | None = None) -> Iterator[Row]:
    """Yield every text in order; blank lines are none.

    Args:
        files: Paths; `-` is standard input, with plain lines or JSON objects.
        text_field: The field of an object that holds the text.
        skipped: Where entries without a text are counted. None: the first one raises.

    Raises:
        XinferenceConfigurationError: A file is of a kind that is not read, or an entry holds no text; the message names
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
    """Raise XinferenceConfigurationError for a file whose kind is not read, before anything is sent."""
    if path == STANDARD:
        return
    suffix = path.suffix.lower()
    if suffix in _REFUSED:
        msg = f"{path}: {suffix} files are not supported; {_REFUSED[suffix]}. Supported: {READS}"
        raise XinferenceConfigurationError(msg)
    if suffix == ".parquet":
        return
    with path.open("rb") as file:
        if b"\0" in file.read(4096):
            raise XinferenceConfigurationError(f"{path}: holds binary data. Supported: {READS}")


def count_rows(files: Sequence[Path]) -> int | None:
    """Return about how many texts there are; None where only reading them would tell."""
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
    """Number, entry, and whether the entry is JSON still to be read."""
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
            return Row(str(path), number, line.rstrip("\r\n"))
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise XinferenceConfigurationError(f"{where}: is not JSON ({error})") from None
    if isinstance(entry, str):
        return Row(str(path), number, _said(entry, f"{where}: the text"))
    if isinstance(entry, dict) and None in entry:
        msg = f"{where}: has more cells than the header; put a text that holds the delimiter into quotes"
        raise XinferenceConfigurationError(msg)
    text = entry.get(text_field) if isinstance(entry, dict) else None
    if not isinstance(text, str):
        has = f"it has {', '.join(entry)}" if isinstance(entry, dict) else f"it is a {type(entry).__name__}"
        if isinstance(entry, dict) and text_field in entry:
            has = f"it is {'empty' if text is None else f'a {type(text).__name__}'}"
        msg = f"{where}: no text under {text_field!r}; {has}. --field names the one that holds the text"
        raise XinferenceConfigurationError(msg)
    fields = {key: other for key, other in entry.items() if key != text_field}
    return Row(str(path), number, _said(text, f"{where}: the text under {text_field!r}"), fields)


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
        msg = f"{where}: is not UTF-8 ({error.reason}); `iconv -t UTF-8` converts it"
        raise XinferenceConfigurationError(msg) from None


def as_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """The complete lines of a file; a last one without its newline was cut off while it was written."""
    for line in stream:
        if not line.endswith(b"\n"):
            return
        yield line
