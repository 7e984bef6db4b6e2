"""The `image` and `ocr` commands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from xinference_bridge.cli.image_format import format_of, in_format
from xinference_bridge.cli.options import UsageError
from xinference_bridge.cli.output_files import (
    STDOUT,
    naming_file,
    numbered,
    refuse_existing,
    write_bytes,
)
from xinference_bridge.models.image import ImageHandle
from xinference_bridge.printable import harmless

_PAGES = re.compile(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?")


def draw_into(model: ImageHandle, prompt: str, out: Path, *, n: int, overwrite: bool, **wanted: Any) -> None:
    """Generate images, write each to a file, and print the file names.

    The server returns JPEG (4.1.0). A file with another suffix, such as .png, is converted.
    """
    if out == STDOUT and n > 1:
        raise UsageError("--out - accepts one image: leave --n out, or pass a file name")
    wanted_format = format_of(out)
    for path in numbered(out, n):
        refuse_existing(path, overwrite=overwrite)
    images = model.generate(prompt, n=n, **wanted)
    for image, path in zip(images, numbered(out, len(images)), strict=True):
        write_bytes(path, in_format(image.data, wanted_format))
        if path != STDOUT:
            typer.echo(harmless(str(path)))


def pages_of(text: str | None) -> list[int] | None:
    """Return the pages in `1,3-5`, from 1; None for None.

    Raises:
        UsageError: The text has another form.
    """
    if text is None:
        return None
    pages: list[int] = []
    for part in text.split(","):
        match = _PAGES.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 0 < first <= last:
            raise UsageError(f"--pages {text!r}: must be page numbers from 1, such as 1,3-5")
        pages += range(first, last + 1)
    return pages


def read_files(model: ImageHandle, files: Sequence[Path], *, prompt: str | None, pages: list[int] | None) -> None:
    """Print the text of each image or PDF."""
    for file in files:
        heading = f"==> {harmless(str(file))} <==\n" if len(files) > 1 else ""
        with naming_file(file):
            text = model.ocr(file, prompt=prompt, pages=pages)
        typer.echo(heading + harmless(text).rstrip())
