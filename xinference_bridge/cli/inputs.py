"""Files of texts, read line by line: plain, or JSONL with the text in a field. Nothing is held but the line at hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from xinference_bridge.errors import XinferenceConfigurationError

_JSONL = frozenset({".jsonl", ".ndjson"})
STANDARD = Path("-")


@dataclass(frozen=True, slots=True)
class Row:
    """One text, where it stood, and what stood beside it."""

    file: str
    line: int
    text: str
    fields: dict[str, Any] = field(default_factory=dict)


def rows_of(files: Sequence[Path], text_field: str) -> Iterator[Row]:
    """Every text in order; blank lines are none. Raises XinferenceConfigurationError that names file and line."""
    for path in files:
        reads_json = path.suffix.lower() in _JSONL
        with _opened(path) as lines:
            for number, raw in enumerate(lines, start=1):
                if not raw.strip():
                    continue
                line = _decoded(raw, path, number)
                if reads_json or (path == STANDARD and line.startswith("{")):
                    yield _from_json(line, path, number, text_field)
                else:
                    yield Row(str(path), number, line.rstrip("\r\n"))


def count_rows(files: Sequence[Path]) -> int | None:
    """How many texts there are; None where only reading them would tell."""
    if any(not path.is_file() for path in files):
        return None
    total = 0
    for path in files:
        with path.open("rb") as lines:
            total += sum(1 for line in lines if line.strip())
    return total


def _opened(path: Path) -> Any:
    return nullcontext(sys.stdin.buffer) if path == STANDARD else path.open("rb")


def _decoded(raw: bytes, path: Path, number: int) -> str:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        msg = f"{path}, line {number}: is not UTF-8 ({error.reason}); `iconv -t UTF-8` converts it"
        raise XinferenceConfigurationError(msg) from None


def _from_json(line: str, path: Path, number: int, text_field: str) -> Row:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise XinferenceConfigurationError(f"{path}, line {number}: is not JSON ({error})") from None
    if isinstance(value, str):
        return Row(str(path), number, value)
    text = value.get(text_field) if isinstance(value, dict) else None
    if not isinstance(text, str):
        has = f"has {', '.join(value)}" if isinstance(value, dict) else f"is a {type(value).__name__}"
        msg = (
            f"{path}, line {number}: no text under {text_field!r}; it {has}. --field names the one that holds the text"
        )
        raise XinferenceConfigurationError(msg)
    return Row(str(path), number, text, {key: other for key, other in value.items() if key != text_field})


def as_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """The complete lines of a file; a last one without its newline was cut off while it was written."""
    for line in stream:
        if not line.endswith(b"\n"):
            return
        yield line
