"""The core's messages in the words of a person at the command line: options in place of Python's arguments."""

from __future__ import annotations

import re

#: Python's words → the command's, each applied in turn.
_WORDS = (
    (r"^XinferenceConnection cannot use (\w+)", r"\1="),
    (r"XinferenceConnection has no setting", "no setting"),
    (r" \(or the variable ", " (or the variable "),
    (r"server_url=(?=')", "--server-url "),
    (r"\bserver_url\b=?", "--server-url"),
    (r"\bapi_key\b(?:=| /)", "--api-key"),
    (r"--api-key XINFERENCE", "--api-key or XINFERENCE"),
    (r"\bverify= or cert= names", "--ca names"),
    (r"\bverify=", "--ca"),
    (r"\bheaders=", "--header"),
    (r"\bmax_concurrency=", "--concurrency"),
    (r" or more max_retries= help", " help"),
    (r"\b(username|password|timeout|proxy)=", r"--\1"),
    (r"connect_timeout= sets how long to wait\.", ""),
    (r" Wait for it with connection\.wait_until_ready\([^)]*\)\.", " Try again when it is ready."),
)


def as_options(message: str) -> str:
    """Return the message with the options to give in place of the arguments of Python."""
    for python, typed in _WORDS:
        message = re.sub(python, typed, message)
    return message.rstrip()
