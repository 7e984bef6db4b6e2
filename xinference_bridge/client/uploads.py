"""Converts users' files (a path, bytes, a file object, a data URL) to contents for a form."""

from __future__ import annotations

import base64
import binascii
import io
import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

from xinference_bridge.errors import XinferenceConfigurationError

#: The types that are accepted as a file.
FileLike = str | bytes | os.PathLike[str] | BinaryIO

_HEAD = 64
#: Data from a pipe is kept in memory up to this size, and on disk beyond it.
_SPOOLED = 2**20


@dataclass(frozen=True)
class LocalFile:
    """A file that can be sent repeatedly."""

    name: str
    """The file name without folders; empty if there is none."""
    size: int
    head: bytes
    """The first bytes of the file."""
    source: bytes | Path | BinaryIO
    start: int = 0
    """The start position in a file object."""

    def open(self) -> BinaryIO:
        """Return a file positioned at its beginning."""
        if isinstance(self.source, bytes):
            return io.BytesIO(self.source)
        if isinstance(self.source, Path):
            try:
                return self.source.open("rb")
            except OSError as failure:
                raise _unreadable(self.source, failure) from None
        self.source.seek(self.start)
        return cast("BinaryIO", _KeptOpen(self.source))


class _KeptOpen(io.RawIOBase):
    """Wraps the caller's file object, which stays open after the upload."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


def local_file(file: FileLike, what: str) -> LocalFile:
    """Return a file that can be sent. Only the first bytes of a path are read.

    Args:
        file: A path, a `file://` URL, a data URL, bytes, or a file object opened in binary mode.
        what: The name of the input for errors, such as `the audio`.

    Raises:
        XinferenceConfigurationError: The file cannot be read, is empty, or has an unsupported type.
    """
    if isinstance(file, (bytes, bytearray, memoryview)):
        return _of_bytes(bytes(file), what)
    if isinstance(file, str) and file.startswith("data:"):
        return _of_bytes(_decoded(file, what), what)
    if isinstance(file, str) and file.startswith(("http://", "https://")):
        msg = f"{what} must be a file, got the URL {file[:200]!r}: download it first"
        raise XinferenceConfigurationError(msg)
    if isinstance(file, (str, os.PathLike)):
        return _of_path(file, what)
    if callable(getattr(file, "read", None)):
        return _of_file_object(file, what)
    msg = f"{what} must be a path, bytes, a file object or a data URL, got {type(file).__name__}"
    raise XinferenceConfigurationError(msg)


def _of_bytes(data: bytes, what: str) -> LocalFile:
    _refuse_empty(len(data), what)
    return LocalFile("", len(data), data[:_HEAD], data)


def _decoded(url: str, what: str) -> bytes:
    head, comma, data = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise XinferenceConfigurationError(f"{what} must be a data URL in base64 (data:…;base64,…)")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as broken:
        raise XinferenceConfigurationError(f"{what} is not valid base64: {broken}") from None


def _of_path(file: str | os.PathLike[str], what: str) -> LocalFile:
    name = os.fspath(file)
    path = Path(unquote(urlsplit(name).path)) if name.startswith("file://") else Path(file)
    try:
        with path.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            head = opened.read(_HEAD)
            if not opened.seekable():
                return _spooled(head, opened, path.name, what)
    except (OSError, ValueError) as failure:  # ValueError: a NUL in the path
        raise _unreadable(path, failure, what) from None
    _refuse_empty(size, f"{what} ({str(path)[:200]!r})")
    return LocalFile(path.name, size, head, path)


def _of_file_object(file: BinaryIO, what: str) -> LocalFile:
    name = getattr(file, "name", "")
    name = Path(name).name if isinstance(name, str) and not name.startswith("<") else ""
    try:
        start = file.tell() if file.seekable() else None
        head = file.read(_HEAD)
        if not isinstance(head, bytes):
            msg = f'{what} must be a file opened in binary mode: open(…, "rb")'
            raise XinferenceConfigurationError(msg)
        if start is None:
            return _spooled(head, file, name, what)
        size = file.seek(0, os.SEEK_END) - start
        file.seek(start)
    except (OSError, ValueError, AttributeError) as failure:  # ValueError: a closed file
        if isinstance(failure, XinferenceConfigurationError):
            raise
        raise XinferenceConfigurationError(f"{what} cannot be read: {failure}") from None
    _refuse_empty(size, what)
    return LocalFile(name, size, head, file, start)


def _spooled(head: bytes, rest: BinaryIO, name: str, what: str) -> LocalFile:
    """Store the data of a pipe, because its length must be known and a retry may need it again."""
    kept = cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=_SPOOLED))  # noqa: SIM115 - closed with its LocalFile
    kept.write(head)
    shutil.copyfileobj(rest, kept)
    size = kept.tell()
    _refuse_empty(size, what)
    local = LocalFile(name, size, head, kept)
    weakref.finalize(local, kept.close)
    return local


def _refuse_empty(size: int, what: str) -> None:
    if not size:
        raise XinferenceConfigurationError(f"{what} is empty")


def _unreadable(path: Path, failure: BaseException, what: str = "the file") -> XinferenceConfigurationError:
    reason = getattr(failure, "strerror", None) or failure
    return XinferenceConfigurationError(f"{what} cannot be read from {str(path)[:200]!r}: {reason}")
