"""What may not stand in a recording, and how it is found."""

from __future__ import annotations

import re

_FORBIDDEN = {
    "a token": re.compile(r"eyJ[\w-]{17,}\.[\w-]{17,}"),
    "an API key": re.compile(r"\b(?:xf|sk)-[\w-]{16,}"),
    "a credential's header": re.compile(
        r"(?i)^\s*(?:authorization|proxy-authorization|cookie|set-cookie|x-api-key):", re.MULTILINE
    ),
    "a bearer credential": re.compile(r"(?i)\bbearer[ \t]+(?!scope|realm|error)[\w.~+/=-]{12,}"),
    "a machine's path": re.compile(
        r"(?<![\w.:/-])(?:file://)?/(?:root|home|Users|tmp|var|opt|srv|mnt|data|usr|work|private)/\S|/\.cache/|[A-Z]:\\\\?Users"
    ),
    "a machine's address": re.compile(
        r"\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b|\b127\.0\.0\.1:(?!9997\b)\d+"
    ),
    "a body that is not text": re.compile(r"!!binary"),
}


def findings(text: str) -> list[str]:
    """Everything in a cassette that should have been scrubbed, each with what it is and the line where it stands."""
    return [
        f"line {text.count(chr(10), 0, match.start()) + 1}: {what}: {match[0][:60]!r}"
        for what, pattern in _FORBIDDEN.items()
        for match in pattern.finditer(text)
    ]
