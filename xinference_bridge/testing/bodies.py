"""Binary bodies in recordings: forms with files, audio and images.

A recorded request is only compared, never sent again. Its body is therefore written as JSON that a person can review: a
form as its fields, a file by its content, without the random boundary. The bytes of a response are replayed, so they
are stored completely, as base64.
"""

from __future__ import annotations

import base64
import hashlib
import json
from email.parser import BytesHeaderParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import EmailMessage

_KEPT_WHOLE = 1024
"""Bytes of a request's file that are written as base64; a longer one is named by its length and its SHA-256."""
_LINE = 120


def form_as_json(content_type: str, body: bytes, clean: Callable[[str], str]) -> str:
    """Return a multipart form as JSON: its fields by name, and repeated names in sending order.

    Args:
        content_type: The header's value, with the boundary.
        body: The body that was sent.
        clean: Removes secrets and paths from a text.

    Raises:
        ValueError: The body does not contain the boundary.
    """
    fields = [_field(part, clean) for part in _parts(content_type, body)]
    return json.dumps({"form": sorted(fields, key=lambda field: str(field["name"]))}, ensure_ascii=False)


def is_form(content_type: str) -> bool:
    """Return whether the header declares a multipart form with a boundary. A recorded header has no boundary."""
    return content_type.startswith("multipart/form-data") and "boundary=" in content_type


def bytes_as_json(body: bytes) -> str:
    """Return a binary body as JSON: the whole content if it is short, else its length and SHA-256."""
    return json.dumps(_content(body))


def as_base64(body: bytes) -> list[str]:
    """Return bytes as lines of base64."""
    text = base64.b64encode(body).decode()
    return [text[start : start + _LINE] for start in range(0, len(text), _LINE)]


def from_base64(lines: list[str]) -> bytes:
    """Return the bytes that `as_base64` wrote."""
    return base64.b64decode("".join(lines), validate=True)


def _header(text: bytes) -> EmailMessage:
    return BytesHeaderParser(policy=HTTP).parsebytes(text)


def _parts(content_type: str, body: bytes) -> list[tuple[EmailMessage, bytes]]:
    boundary = _header(b"Content-Type: " + content_type.encode() + b"\r\n\r\n").get_boundary()
    # The first line has no line break before it; the last delimiter ends in `--`.
    pieces = (b"\r\n" + body).split(b"\r\n--" + str(boundary).encode())
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        msg = f"a form without its boundary, or cut short: {body[:80]!r}"
        raise ValueError(msg)
    split = [piece.removeprefix(b"\r\n").partition(b"\r\n\r\n") for piece in pieces[1:-1]]
    return [(_header(head + b"\r\n\r\n"), content) for head, _, content in split]


def _field(part: tuple[EmailMessage, bytes], clean: Callable[[str], str]) -> dict[str, Any]:
    header, content = part
    disposition = header["Content-Disposition"].params
    field: dict[str, Any] = {"name": disposition["name"]}
    if "filename" not in disposition:
        return field | {"value": _value(clean(content.decode()))}
    field["filename"] = clean(disposition["filename"])
    return field | {"type": header.get_content_type()} | _content(content)


def _value(text: str) -> Any:
    """Return a field's text, or its parsed value if it is a JSON object, such as `kwargs`."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return text
    return parsed if isinstance(parsed, dict) else text


def _content(body: bytes) -> dict[str, Any]:
    if len(body) <= _KEPT_WHOLE:
        return {"base64": base64.b64encode(body).decode()}
    return {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
