"""Converts an image to the format of its file name."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from xinference_bridge.cli.options import UsageError
from xinference_bridge.cli.output_files import STDOUT

_ALPHA = ("RGBA", "LA", "PA", "P")


def format_of(path: Path) -> str | None:
    """Return Pillow's name of the format for a file name; None for standard output, which gets the server's bytes.

    Raises:
        UsageError: No image format has this suffix.
    """
    if path == STDOUT:
        return None
    name = Image.registered_extensions().get(path.suffix.lower())
    if name is None or name not in Image.SAVE:
        raise UsageError(f"--out {path}: the suffix must name an image format, such as .png, .jpg or .webp")
    return name


def in_format(data: bytes, wanted: str | None) -> bytes:
    """Return the image in this format, unchanged if it already has it: encoding a JPEG twice loses detail."""
    if wanted is None:
        return data
    with Image.open(io.BytesIO(data)) as image:
        if image.format == wanted:
            return data
        encoded = io.BytesIO()
        (image.convert("RGB") if wanted == "JPEG" and image.mode in _ALPHA else image).save(encoded, wanted)
    return encoded.getvalue()
