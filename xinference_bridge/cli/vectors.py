"""Writers of vectors: JSONL, Parquet, standard output. Each row names the file, line and text of its vector."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from xinference_bridge.cli.inputs import Row, as_lines
from xinference_bridge.cli.tables_of_texts import pyarrow
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.protocol.exact_json import loads_exact

JSONL_SUFFIXES = frozenset({".jsonl", ".ndjson"})
PARQUET_SUFFIXES = frozenset({".parquet"})
_ROWS_A_GROUP = 1024
_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY


class StandardOutput:
    """JSONL on standard output; cannot resume."""

    def __init__(self, uid: str) -> None:
        self._uid = uid

    def skip_written(self, rows: Iterator[Row]) -> int:  # noqa: ARG002 - the interface of VectorFile
        """Return 0: standard output never resumes."""
        return 0

    def write(self, rows: Sequence[Row], vectors: Sequence[Sequence[float]]) -> None:
        """Write one line per vector."""
        sys.stdout.buffer.write(_lines(self._uid, rows, vectors))
        sys.stdout.buffer.flush()

    def finish(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: the caller owns standard output."""


class JsonlFile:
    """One JSON object per line: `{"file", "line", "text", "fields", "model", "embedding"}`, in input order."""

    def __init__(self, path: Path, uid: str, *, overwrite: bool, shown_as: Path | None = None) -> None:
        self._path = path
        self._shown = shown_as or path
        self._uid = uid
        path.touch()
        self._file = path.open("r+b")
        if overwrite:
            self._file.truncate()

    def skip_written(self, rows: Iterator[Row]) -> int:
        """Skip the rows that are already written, and return their number.

        A last line that was cut off is rewritten. Raises XinferenceConfigurationError if the file belongs to
        other texts or another model, so that two jobs never mix in one file.
        """
        count = end = 0
        for line in as_lines(self._file):
            row = next(rows, None)
            _refuse_another(_loaded(line, self._shown, count + 1), row, self._uid, self._shown, count + 1)
            count, end = count + 1, end + len(line)
        self._file.seek(end)
        self._file.truncate()
        return count

    def write(self, rows: Sequence[Row], vectors: Sequence[Sequence[float]]) -> None:
        """Append one line per vector."""
        self._file.write(_lines(self._uid, rows, vectors))
        self._file.flush()

    def finish(self) -> None:
        """Flush the file to disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ParquetFile:
    """The columns `file`, `line`, `text`, `fields` (JSON), `model`, `embedding` (float32).

    A Parquet file cannot be appended to. The vectors therefore collect in a JSONL file next to it, which an interrupted
    job leaves for the next run, and are converted to Parquet at the end.
    """

    def __init__(self, path: Path, uid: str, *, overwrite: bool) -> None:
        pyarrow()
        self._path = path
        self._uid = uid
        self._overwrite = overwrite
        self._part = path.with_name(f"{path.name}.part.jsonl")
        self._complete = path.exists() and not overwrite
        self._rows: JsonlFile | None = None

    def skip_written(self, rows: Iterator[Row]) -> int:
        """Like `JsonlFile.skip_written`; but a finished file must contain all the texts, because it cannot grow."""
        if self._complete:
            count = 0
            for count, stored in enumerate(_stored_rows(self._path), start=1):
                _refuse_another(stored, next(rows, None), self._uid, self._path, count)
            if next(rows, None) is not None:
                more = "the input has more. Pass another --out, or --overwrite"
                msg = f"{self._path} is complete with {count} texts; {more}"
                raise XinferenceConfigurationError(msg)
            return count
        self._rows = JsonlFile(self._part, self._uid, overwrite=self._overwrite, shown_as=self._part)
        return self._rows.skip_written(rows)

    def write(self, rows: Sequence[Row], vectors: Sequence[Sequence[float]]) -> None:
        """Append to the JSONL file."""
        if self._rows is not None:
            self._rows.write(rows, vectors)

    def finish(self) -> None:
        """Convert the JSONL file to the Parquet file, atomically."""
        if self._rows is None:
            return
        self._rows.finish()
        unfinished = self._path.with_name(f"{self._path.name}.part")
        _to_parquet(self._part, unfinished)
        unfinished.replace(self._path)
        self._rows.close()
        with suppress(FileNotFoundError):
            self._part.unlink()

    def close(self) -> None:
        """Close the JSONL file."""
        if self._rows is not None:
            self._rows.close()


def _lines(uid: str, rows: Sequence[Row], vectors: Sequence[Sequence[float]]) -> bytes:
    return b"".join(
        orjson.dumps(_stored(uid, row) | {"fields": _fields(row), "embedding": vector}, option=_OPTIONS)
        for row, vector in zip(rows, vectors, strict=True)
    )


def _stored(uid: str, row: Row) -> dict[str, Any]:
    return {"file": row.file, "line": row.line, "text": row.text, "fields": row.fields, "model": uid}


def _fields(row: Row) -> orjson.Fragment:
    """Return the fields as JSON whose integers are as they were: orjson refuses those beyond 64 bits."""
    return orjson.Fragment(json.dumps(row.fields, ensure_ascii=False, separators=(",", ":")))


def _loaded(line: bytes, path: Path, number: int) -> dict[str, Any]:
    with suppress(orjson.JSONDecodeError):
        value = orjson.loads(line)
        if isinstance(value, dict):
            return value
    raise XinferenceConfigurationError(
        f"{path}, line {number}: was not written by this command. Pass another --out, or --overwrite"
    )


def _refuse_another(stored: dict[str, Any], row: Row | None, uid: str, path: Path, number: int) -> None:
    if row is not None:
        wanted = _stored(uid, row)
        differing = [name for name in ("model", "file", "line", "text") if stored.get(name) != wanted[name]]
        if not differing:
            return
        is_of = f"its {differing[0]} is {stored.get(differing[0])!r:.80}, not {wanted[differing[0]]!r:.80}"
    else:
        is_of = "the input has no such row"
    msg = f"{path}, row {number}, belongs to another job: {is_of}. Pass another --out, or --overwrite to start over"
    raise XinferenceConfigurationError(msg)


def _schema(arrow: Any) -> Any:
    columns = {"file": arrow.string(), "line": arrow.int64(), "text": arrow.string(), "fields": arrow.string()}
    return arrow.schema({**columns, "model": arrow.string(), "embedding": arrow.list_(arrow.float32())})


def _to_parquet(part: Path, target: Path) -> None:
    arrow = pyarrow()
    schema = _schema(arrow)
    with part.open("rb") as file, arrow.parquet.ParquetWriter(target, schema) as writer:
        rows = (loads_exact(line.decode()) for line in as_lines(file))
        while group := list(islice(rows, _ROWS_A_GROUP)):
            for row in group:
                row["fields"] = json.dumps(row["fields"], ensure_ascii=False, separators=(",", ":"))
            writer.write_table(arrow.Table.from_pylist(group, schema))


def _stored_rows(path: Path) -> Iterable[dict[str, Any]]:
    arrow = pyarrow()
    try:
        with arrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_A_GROUP, columns=["file", "line", "text", "model"]):
                yield from batch.to_pylist()
    except (arrow.ArrowInvalid, arrow.ArrowKeyError) as error:
        msg = f"{path}: was not written by this command ({error}). Pass another --out, or --overwrite"
        raise XinferenceConfigurationError(msg) from None
    except OSError as error:
        if error.errno is not None:
            raise
        msg = f"{path}: the file is damaged ({error}). Pass another --out, or --overwrite"
        raise XinferenceConfigurationError(msg) from None
