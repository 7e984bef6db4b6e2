"""Files that the commands read and write: named in errors, overwritten only if asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xinference_bridge.cli.options import UsageError
from xinference_bridge.errors import XinferenceError

STDOUT = Path("-")


@contextmanager
def naming_file(file: Path) -> Iterator[None]:
    """Name the file in an error, so that the user knows which of several files failed."""
    try:
        yield
    except XinferenceError as error:
        if str(file) in error.message:
            raise
        raise type(error)(f"{file}: {error.message}").like(error) from error


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise UsageError if the file exists, or its folder does not."""
    if path == STDOUT:
        if sys.stdout.isatty():
            raise UsageError("--out - writes bytes, which a terminal cannot show: pass a file or use a pipe")
        return
    if path.is_dir():
        raise UsageError(f"--out {path} is a folder: pass a file name")
    if path.exists() and not overwrite:
        raise UsageError(f"--out {path} exists: pass another name, or --overwrite")
    if not path.parent.is_dir():
        raise UsageError(f"--out {path}: there is no folder {path.parent}")


def write_bytes(path: Path, data: bytes) -> None:
    """Write the bytes to the file, or to standard output for `-`."""
    if path == STDOUT:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        path.write_bytes(data)


def numbered(path: Path, count: int) -> list[Path]:
    """Return the names of `count` files: the given one, or numbered variants of it, from 1."""
    if count == 1 or path == STDOUT:
        return [path]
    return [path.with_stem(f"{path.stem}-{number}") for number in range(1, count + 1)]
