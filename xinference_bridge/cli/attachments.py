"""Images and recordings attached to the next message of a conversation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.integration.media_files import read_file
from xinference_bridge.protocol.chat.messages import media_part
from xinference_bridge.protocol.http import JSON
from xinference_bridge.protocol.media import data_url_of

_PARTS: dict[str, Literal["image_url", "audio_url"]] = {"image": "image_url", "audio": "audio_url"}


def attached(path: Path, family: Literal["image", "audio"]) -> JSON:
    """Return a file as a part of a message.

    Raises:
        XinferenceConfigurationError: The file cannot be read, is empty, larger than 64 MiB, or of another kind.
    """
    return media_part(_PARTS[family], data_url_of(read_file(path, str(path)), family, str(path)))


def in_words(part: JSON) -> str:
    """Describe an attachment for the user: its kind and size."""
    url = part[part["type"]]["url"]
    size = len(url.partition(",")[2]) * 3 / 4
    return f"{part['type'].removesuffix('_url')}, {size / 1024:.1f} KiB"


def unquoted(argument: str) -> Path:
    """Return the path that the user typed. A file dragged into a terminal has quotes around its path.

    Raises:
        XinferenceConfigurationError: No path was given.
    """
    text = argument.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    if not text:
        raise XinferenceConfigurationError("it needs a file name")
    return Path(text.replace("\\ ", " ")).expanduser()
