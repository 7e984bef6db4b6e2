"""The errors of a connection that failed: each says what happened and what to look at. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from xinference_bridge.errors import XinferenceConnectionError, XinferenceProtocolError, XinferenceTimeoutError

_LOOPBACK = re.compile(r"^(localhost|127\.\d+\.\d+\.\d+|::1)$")


def base_of(url: str) -> str:
    """The server's part of a URL: scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else url


def cannot_connect(url: str, why: str, *, in_container: bool) -> XinferenceConnectionError:
    """Nothing answers at the URL, and what to look at; in a container, what loopback means there."""
    parts = urlsplit(url)
    msg = f"Cannot reach a Xinference server at {base_of(url)} ({why})."
    if in_container and _LOOPBACK.match(parts.hostname or ""):
        port = parts.port or 9997
        msg += (
            f" This program runs inside a container, where {parts.hostname} is the container itself. Use the host's "
            f"address or http://host.docker.internal:{port}, with the server started with `-H 0.0.0.0`; or, when the "
            f"server runs in a container too, publish its port (`-p {port}:{port}`)."
        )
    else:
        msg += (
            " Is it running (`xinference-local -H 0.0.0.0 -p 9997`), and is server_url (or XINFERENCE_ENDPOINT) the "
            "address that it printed?"
        )
    return XinferenceConnectionError(msg, url=url)


def hung_up(
    url: str, why: str, *, request_id: str | None = None, stale_socket: bool = False
) -> XinferenceConnectionError:
    """The connection was there and was cut before an answer came."""
    msg = f"{base_of(url)} closed the connection before it answered ({why}). It may have restarted or be overloaded."
    error = XinferenceConnectionError(msg, url=url, request_id=request_id)
    error.stale_socket = stale_socket
    return error


def cut_short(url: str, why: str, *, request_id: str | None = None) -> XinferenceConnectionError:
    """The connection was cut in the middle of the answer; never retried, since the work was done."""
    msg = f"The answer of {url} broke off before its end ({why}). The server or a proxy in between went away."
    return XinferenceConnectionError(msg, url=url, request_id=request_id, retryable=False)


def connect_timed_out(url: str, seconds: float | None, *, in_container: bool) -> XinferenceTimeoutError:
    """No connection within connect_timeout; trying again may help."""
    why = f"no connection within {seconds:g} s" if seconds else "no connection in time"
    error = cannot_connect(url, why, in_container=in_container)
    return XinferenceTimeoutError(error.message + " connect_timeout= sets how long to wait.", url=url, retryable=True)


def read_timed_out(url: str, seconds: float | None, *, request_id: str | None = None) -> XinferenceTimeoutError:
    """Not a byte within the read timeout."""
    waited = f"for {seconds:g} s" if seconds else "in time"
    msg = (
        f"{url} sent nothing {waited}. A large model may need longer for a first answer: timeout= sets how long to "
        "wait for each byte; None waits without a limit."
    )
    return XinferenceTimeoutError(msg, url=url, request_id=request_id)


def deadline_passed(url: str, seconds: float | None) -> XinferenceTimeoutError:
    """The whole call took longer than its deadline."""
    msg = (
        f"The call to {url} was not done within its deadline of {seconds:g} s."
        if seconds
        else f"{url}: deadline passed."
    )
    return XinferenceTimeoutError(msg, url=url)


def out_of_memory(url: str, *, request_id: str | None = None) -> XinferenceProtocolError:
    """The answer does not fit into the memory of this process."""
    msg = f"The answer of {url} does not fit into memory; max_response_bytes= bounds what is read of an answer."
    return XinferenceProtocolError(msg, url=url, request_id=request_id)


def not_http(url: str, why: str, *, request_id: str | None = None) -> XinferenceProtocolError:
    """Something answered, but it does not speak HTTP."""
    msg = (
        f"{base_of(url)} does not speak HTTP as a Xinference server does ({why}). Is the port that of another service, "
        "or does it want https:// where server_url says http://?"
    )
    return XinferenceProtocolError(msg, url=url, request_id=request_id)
