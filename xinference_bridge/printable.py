"""Make text from a server or model safe to print: it cannot control a terminal or reorder text."""

from __future__ import annotations

import re

# Control characters except tab and newline, bidi marks, invisible line separators, and lone surrogates,
# which no stream can encode.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def harmless(text: str) -> str:
    """Return the text with its control characters escaped and carriage returns removed."""
    return _UNSAFE.sub(_shown, text)


def harmless_json(text: str) -> str:
    """Return the same JSON with such characters escaped. They occur only in strings."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code == 0x0D:
        return ""
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
