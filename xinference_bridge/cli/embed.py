"""`embed`: from files of texts to a file of vectors, in order and with bounded memory. Resumes where it stopped."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from xinference_bridge.cli.console import messages
from xinference_bridge.cli.inputs import STANDARD, Row, Skipped, count_rows, refuse_unreadable, rows_of
from xinference_bridge.cli.options import UsageError
from xinference_bridge.cli.vectors import JSONL_SUFFIXES, PARQUET_SUFFIXES, JsonlFile, ParquetFile, StandardOutput
from xinference_bridge.models.batching import Batch, batches_of, run_batches_in_order
from xinference_bridge.models.embedding import SameDimensions, has_numpy

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from xinference_bridge.models.embedding import EmbeddingHandle


class VectorFile(Protocol):
    """A destination for vectors, in the order of their texts."""

    def skip_written(self, rows: Iterator[Row]) -> int:
        """Skip the rows that are already written, and return their number."""

    def write(self, rows: Sequence[Row], vectors: Sequence[Sequence[float]]) -> None:
        """Append vectors, so that a later crash does not lose them."""

    def finish(self) -> None:
        """Complete the file."""

    def close(self) -> None:
        """Close the file; what was written stays for the next run."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """How to read and send the texts."""

    field: str = "text"
    """The field that contains the text."""
    batch_size: int = 64
    """Texts per request."""
    concurrency: int = 4
    """Maximum number of concurrent requests."""
    overwrite: bool = False
    """Whether to replace an existing output."""
    skip_bad: bool = False
    """Whether to skip entries without a text instead of raising an error."""


def embed_files(model: EmbeddingHandle, files: Sequence[Path], out: Path, how: Embedding) -> None:
    """Embed every text of the files into `out`, except texts whose vectors are already there.

    After an error, the vectors received before it are in the file.
    """
    for file in files:
        if file != STANDARD and not file.exists():
            raise FileNotFoundError(2, "no such file", str(file))
        if file.is_dir():
            raise IsADirectoryError(21, "Is a directory", str(file))
        if file.exists() and out.exists() and file.samefile(out):
            raise UsageError(f"--out {out} is one of the inputs")
        refuse_unreadable(file)
    target = _target(out, model.uid, overwrite=how.overwrite)
    bad = Skipped() if how.skip_bad else None
    rows = rows_of(files, how.field, bad)
    written = length = 0
    try:
        skipped = target.skip_written(rows)
        with _progress() as progress:
            task = _task(progress, files, skipped)
            as_array = isinstance(target, ParquetFile) and has_numpy()
            for held, vectors in _embedded(model, rows, how.batch_size, how.concurrency, as_array=as_array):
                target.write(held, vectors)
                written, length = written + len(held), len(vectors[0])
                if progress is not None and task is not None:
                    progress.advance(task, len(held))
        target.finish()
    except KeyboardInterrupt:
        if out != STANDARD:
            messages().print(f"{written} written; run the same command again to resume.", style="dim")
        raise
    finally:
        target.close()
    for why in bad.first if bad is not None else ():
        messages().print(f"skipped: {why}", style="dim", soft_wrap=True)
    messages().print(_summed_up(out, written, skipped, length, bad.count if bad is not None else 0), soft_wrap=True)


def _target(out: Path, uid: str, *, overwrite: bool) -> VectorFile:
    suffix = out.suffix.lower()
    if out == STANDARD:
        return StandardOutput(uid)
    if suffix in JSONL_SUFFIXES:
        return JsonlFile(out, uid, overwrite=overwrite)
    if suffix in PARQUET_SUFFIXES:
        return ParquetFile(out, uid, overwrite=overwrite)
    raise UsageError(f"--out {out}: must end in .jsonl or .parquet")


def _embedded(
    model: EmbeddingHandle, rows: Iterator[Row], batch_size: int, concurrency: int, *, as_array: bool = False
) -> Iterator[tuple[list[Row], Sequence[Sequence[float]]]]:
    taken: deque[Row] = deque()
    same = SameDimensions(model.uid)

    def texts() -> Iterator[str]:
        for row in rows:
            taken.append(row)
            yield row.text

    def send(batch: Batch) -> Any:
        # float32 as received: Parquet stores no more than that.
        if as_array:
            return model.embed_array(batch.texts, {}, start=batch.start)
        return model.embed(batch.texts, {}, start=batch.start).vectors

    for batch, vectors in run_batches_in_order(send, batches_of(texts(), batch_size), concurrency):
        yield [taken.popleft() for _ in batch.texts], same.checked(vectors, batch.start)


def _progress() -> AbstractContextManager[Progress | None]:
    """Return a progress bar on standard error; None if that is not a terminal."""
    console = messages()
    if not console.is_terminal:
        return nullcontext()
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty())


def _task(progress: Progress | None, files: Sequence[Path], skipped: int) -> TaskID | None:
    return None if progress is None else progress.add_task("embedding", total=count_rows(files), completed=skipped)


def _summed_up(out: Path, written: int, skipped: int, length: int, bad: int) -> str:
    where = "standard output" if out == STANDARD else str(out)
    left_out = f" {bad} {'entry' if bad == 1 else 'entries'} without a text skipped." if bad else ""
    if not written:
        return (
            f"Nothing to do: {where} already contains {_counted(skipped)}." if skipped else "No texts found."
        ) + left_out
    before = f", after {skipped} existing ones" if skipped else ""
    return f"{_counted(written)} of {length} dimensions written to {where}{before}.{left_out}"


def _counted(vectors: int) -> str:
    return f"{vectors} vector{'' if vectors == 1 else 's'}"
