"""Images, audio and video as data URLs, with a size limit. The first bytes determine the type. Pure."""

from __future__ import annotations

import base64
import binascii
import re

from xinference_bridge.errors import XinferenceConfigurationError

#: 4.1.0 rejects larger files.
MAX_MEDIA_BYTES = 64 * 2**20

#: The first bytes of a file → its type. RIFF and ISO containers have their type a few bytes later.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"%PDF-", "application/pdf"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_ISO_BRANDS = {b"avif": "image/avif", b"heic": "image/heic", b"M4A ": "audio/mp4", b"qt  ": "video/quicktime"}
#: These may also contain only sound, which the first bytes do not show.
_CONTAINERS = frozenset({"video/webm", "video/mp4", "audio/ogg", "audio/mp4"})
_NAMED = {"image": "an image", "audio": "an audio file", "video": "a video"}
_DATA_URL = re.compile(r"data:([a-zA-Z0-9.+-]+/[a-zA-Z0-9.+-]+)?(?:;[^,;]*)*?;base64,", re.ASCII)


def media_type_of(data: bytes) -> str | None:
    """Return the media type that the first bytes of a file show, such as `image/png`, or None."""
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _ISO_BRANDS.get(data[8:12], "video/mp4")
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


def data_url_of(data: bytes, family: str, what: str) -> str:
    """Return a file's bytes as a data URL.

    Args:
        data: The whole file.
        family: The required kind: `image`, `audio` or `video`.
        what: The name of the input, for errors.

    Raises:
        XinferenceConfigurationError: The file is empty, too large, or of another kind.
    """
    if not data:
        raise XinferenceConfigurationError(f"{what} is empty")
    refuse_too_large(len(data), what)
    kind = media_type_of(data)
    if kind in _CONTAINERS and family in {"audio", "video"}:
        kind = f"{family}/{kind.partition('/')[2]}"
    if kind is None or not kind.startswith(f"{family}/"):
        found = f"a file of type {kind}" if kind else f"a file of no known type, which begins with {data[:8]!r}"
        raise XinferenceConfigurationError(f"{what} must be {_NAMED[family]}, got {found}")
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def checked_data_url(url: str, family: str, what: str) -> str:
    """Return a data URL with its media type. The first bytes determine a missing one.

    The server treats `data:;base64,…` as text and embeds that (4.1.0, CLIP).

    Raises:
        XinferenceConfigurationError: It is not a base64 data URL, or has another media type.
    """
    head = _DATA_URL.match(url[:256])
    if head is None:
        raise XinferenceConfigurationError(f"{what} must be a data URL in base64 (data:{family}/…;base64,…)")
    refuse_too_large(len(url) * 3 // 4, what)
    try:
        data = base64.b64decode(url[head.end() :], validate=True)
    except binascii.Error as broken:
        raise XinferenceConfigurationError(f"{what} is not valid base64: {broken}") from None
    kind = head.group(1)
    if kind and kind.startswith(f"{family}/") and data:
        return url
    return data_url_of(data, family, what)


def refuse_too_large(size: int, what: str, limit: int = MAX_MEDIA_BYTES) -> None:
    """Raise XinferenceConfigurationError if a file of this size exceeds the limit."""
    if size > limit:
        msg = f"{what} has {size / 2**20:.1f} MiB, and at most {limit / 2**20:g} MiB are sent"
        raise XinferenceConfigurationError(msg)
