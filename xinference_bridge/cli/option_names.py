"""Error messages that name the command line's options instead of Python's arguments."""

from __future__ import annotations

import re
from collections.abc import Callable

#: Setting of the connection → the option that states it.
OPTIONS = {
    "server_url": "--server-url",
    "api_key": "--api-key",
    "username": "--username",
    "password": "--password",
    "timeout": "--timeout",
    "connect_timeout": "--timeout",
    "headers": "--header",
    "proxy": "--proxy",
    "verify": "--ca",
}

_NAMES = "|".join(OPTIONS)


def _option(match: re.Match[str]) -> str:
    return OPTIONS[match[1]]


#: Applied in this order, the more specific ones first.
_REPLACEMENTS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    # The error for an invalid setting names a class that users of the command do not know.
    (re.compile(rf"XinferenceConnection cannot use ({_NAMES})\b"), _option),
    (re.compile(r"verify=False"), lambda _: "--insecure"),
    (re.compile(rf"\b({_NAMES})=(?=\S)(?![,.;:)])"), lambda match: f"{_option(match)} "),
    (re.compile(rf"\b({_NAMES})="), _option),
    (re.compile(r"(?<!-)\busername and password(?= / XINFERENCE_)"), lambda _: "--username and --password"),
    # `username` and `password` are also English words: replaced only next to the variable's name.
    (re.compile(rf"(?<!-)\b({_NAMES})(?= (?:/|\(or) (?:the variable )?XINFERENCE_)"), _option),
    (re.compile(r"\b(server_url|api_key|connect_timeout)\b"), _option),
    (
        re.compile(
            r"Wait for the model with connection\.wait_until_ready\(.*?\)\."
            r"|Lower max_concurrency= or raise max_retries=\."
        ),
        lambda _: "Try again later.",
    ),
)


def with_option_names(message: str) -> str:
    """Return the message with the name of each setting's option: `--server-url`, not `server_url=`."""
    for pattern, replacement in _REPLACEMENTS:
        message = pattern.sub(replacement, message)
    return message
