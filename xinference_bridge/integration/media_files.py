"""A file of media read whole: a regular one, not empty, within the size that is sent."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.protocol.media import MAX_MEDIA_BYTES, refuse_too_large

#: A FIFO without a writer, or a terminal, would make `open` wait. Windows has no such flag.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_file(path: str | os.PathLike[str], what: str, limit: int = MAX_MEDIA_BYTES) -> bytes:
    """Return the bytes of a regular file.

    Args:
        path: The file.
        what: What it is, for errors.
        limit: The most bytes that it may have.

    Raises:
        XinferenceConfigurationError: It cannot be read, is no regular file, or is larger than the limit.
    """
    shown = repr(os.fspath(path)[:200])
    try:
        _refuse_irregular(Path(path).stat(), what, shown)
        with open(path, "rb", opener=lambda name, _: os.open(name, _FLAGS)) as file:
            status = os.fstat(file.fileno())
            _refuse_irregular(status, what, shown)
            refuse_too_large(status.st_size, what, limit)
            data = file.read(limit + 1)
    except (OSError, ValueError) as failure:  # ValueError: a NUL in the path
        reason = getattr(failure, "strerror", None) or failure
        raise XinferenceConfigurationError(f"{what} cannot be read from {shown}: {reason}") from None
    refuse_too_large(len(data), what, limit)
    return data


def path_of_file_url(url: str, what: str) -> str:
    """Return the path that a `file:` URL names on this machine.

    Raises:
        XinferenceConfigurationError: It names another machine.
    """
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        msg = f"{what}: {url[:200]!r} names a file on another machine, {parts.netloc!r}; it takes file:///path"
        raise XinferenceConfigurationError(msg)
    return url2pathname(parts.path)


def path_within(path: str, folders: Sequence[str], what: str, *, setting: str = "inline_media=") -> Path:
    """Return the real path of a file that lies in one of the folders, symbolic links and `..` followed.

    Args:
        path: The path as it was written.
        folders: The folders that are allowed.
        what: What it is, for errors.
        setting: Where the folders are stated, for errors.

    Raises:
        XinferenceConfigurationError: It lies elsewhere. Whether it exists is not told.
    """
    try:
        real = Path(path).resolve()
        if any(real.is_relative_to(Path(folder).resolve()) for folder in folders):
            return real
    except (OSError, ValueError, RuntimeError):  # a NUL in the path; links in a circle
        pass
    allowed = ", ".join(folders) or "none"
    msg = f"{what} names the file {path[:200]!r}, which is not in a folder that {setting} allows ({allowed})"
    raise XinferenceConfigurationError(msg)


def _refuse_irregular(status: os.stat_result, what: str, shown: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        found = "a directory" if stat.S_ISDIR(status.st_mode) else "a device, a pipe or a socket"
        raise XinferenceConfigurationError(f"{what} must be a regular file, and {shown} is {found}")
