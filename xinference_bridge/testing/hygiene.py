"""Finds content that a recording must not contain."""

from __future__ import annotations

import re

_SECRETS = {
    "a token": re.compile(r"eyJ[\w-]{17,}\.[\w-]{17,}"),
    "an API key": re.compile(r"\b(?:xf|sk)-[\w-]{16,}"),
    "a credential's header": re.compile(
        r"(?i)^\s*(?:authorization|proxy-authorization|cookie|set-cookie|x-api-key):", re.MULTILINE
    ),
    "a bearer credential": re.compile(r"(?i)\bbearer[ \t]+(?!scope|realm|error)[\w.~+/=-]{12,}"),
}
_MACHINE = {
    "a machine's path": re.compile(
        r"(?<![\w.:/-])(?:file://)?/(?:root|home|Users|tmp|var|opt|srv|mnt|data|usr|work|private)/\S|/\.cache/|[A-Z]:\\\\?Users"
    ),
    "a machine's address": re.compile(
        r"\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b|\b127\.0\.0\.1:(?!9997\b)\d+"
    ),
    "a body that is not text": re.compile(r"!!binary"),
}


def secrets(text: str) -> list[str]:
    """Return the credentials in a recording, each with its line and kind."""
    return [f"{where}: {what}" for where, what, _ in _found(text, _SECRETS)]


def findings(text: str) -> list[str]:
    """Return everything that a recording must not contain: credentials, paths and addresses of a machine, binary data.

    Args:
        text: The content of a recording's file.

    Returns:
        One string for each finding, with its line, its kind and up to 60 characters of it.
    """
    return [f"{where}: {what}: {match[:60]!r}" for where, what, match in _found(text, _SECRETS | _MACHINE)]


def _found(text: str, patterns: dict[str, re.Pattern[str]]) -> list[tuple[str, str, str]]:
    return [
        (f"line {text.count(chr(10), 0, match.start()) + 1}", what, match[0])
        for what, pattern in patterns.items()
        for match in pattern.finditer(text)
    ]
