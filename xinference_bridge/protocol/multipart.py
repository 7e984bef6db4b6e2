"""A multipart form: its fields and its files, described before anything of a file is read. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol


class Content(Protocol):
    """What a file part holds. It is opened once for each attempt to send it, and read piece by piece."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    def open(self) -> BinaryIO:
        """Return a file at its beginning; the caller closes it."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """One file of a form."""

    name: str
    content: Content
    filename: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Form:
    """The fields and files of one request, in the order in which they are sent."""

    fields: tuple[tuple[str, str], ...]
    files: tuple[FilePart, ...] = ()
    on_progress: Callable[[int, int], object] | None = None
    """Called with the bytes sent so far and their total after each piece."""


def pieces_of(form: Form, boundary: str) -> list[bytes | Content]:
    """Return what is sent in order: bytes as they are, and contents to be read."""
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
    """Return a name as browsers write it into a form: it cannot end its quotes, nor its line."""
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
