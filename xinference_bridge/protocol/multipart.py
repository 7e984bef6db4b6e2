"""A multipart form: its fields and files, described before any file is read. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol


class Content(Protocol):
    """The content of a file part. It is opened once for each attempt and read piece by piece."""

    @property
    def size(self) -> int:
        """The length in bytes."""

    def open(self) -> BinaryIO:
        """Return a file positioned at its beginning. The caller closes it."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """One file of a form."""

    name: str
    content: Content
    filename: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Form:
    """The fields and files of one request, in sending order."""

    fields: tuple[tuple[str, str], ...]
    files: tuple[FilePart, ...] = ()
    on_progress: Callable[[int, int], object] | None = None
    """Called after each piece with the number of bytes sent and the total."""


def pieces_of(form: Form, boundary: str) -> list[bytes | Content]:
    """Return the pieces of the body in order: bytes, and contents that are read while sending."""
    pieces: list[bytes | Content] = []
    head = b"".join(
        _part(boundary, f'name="{_quoted(name)}"') + value.encode("utf-8", "surrogatepass") + b"\r\n"
        for name, value in form.fields
    )
    for file in form.files:
        about = f'name="{_quoted(file.name)}"; filename="{_quoted(file.filename)}"'
        pieces += [head + _part(boundary, about, file.media_type), file.content]
        head = b"\r\n"
    return [*pieces, head + f"--{boundary}--\r\n".encode()]


def _part(boundary: str, about: str, media_type: str | None = None) -> bytes:
    kind = f"\r\nContent-Type: {media_type}" if media_type is not None else ""
    head = f"--{boundary}\r\nContent-Disposition: form-data; {about}{kind}\r\n\r\n"
    return head.encode("utf-8", "replace")


def _quoted(name: str) -> str:
    """Escape a name as browsers do, so that it cannot end its quotes or its line."""
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
