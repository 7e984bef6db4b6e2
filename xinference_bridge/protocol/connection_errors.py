"""The errors of a connection that failed: each says what happened and what to look at. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from xinference_bridge.errors import XinferenceConnectionError, XinferenceProtocolError, XinferenceTimeoutError

#: Where a Xinference server listens unless it is told otherwise.
DEFAULT_PORT = 9997
#: OpenSSL's words for an answer that is no TLS, such as plain HTTP.
_NO_TLS = re.compile(r"wrong.version.number|record layer failure|http request|unknown protocol", re.IGNORECASE)
_LOOPBACK = re.compile(r"^(localhost|127\.\d+\.\d+\.\d+|::1)$")


def base_of(url: str) -> str:
    """The server's part of a URL: scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else url


def _clause(why: str) -> str:
    """A reason as it stands inside a sentence: without a full stop of its own."""
    return why.strip().rstrip(". ") or "no reason given"


def cannot_connect(url: str, why: str, *, in_container: bool) -> XinferenceConnectionError:
    """Nothing answers at the URL: the likely causes, and what to look at."""
    parts = urlsplit(url)
    msg = f"Cannot reach a Xinference server at {base_of(url)} ({_clause(why)}).{port_hint(url)}"
    if in_container and _LOOPBACK.match(parts.hostname or ""):
        port = parts.port or DEFAULT_PORT
        msg += (
            f" Either the server is not running, or it runs outside this container, where {parts.hostname} is the "
            "container itself. If it runs on the host, or in a container that publishes its port "
            f"(`-p {port}:{port}`), use http://host.docker.internal:{port}, and start it with `-H 0.0.0.0`; if it runs "
            f"in the same Docker network, use its container's name instead of {parts.hostname}."
        )
    else:
        msg += (
            f" Is it running (`xinference-local -H 0.0.0.0 -p {DEFAULT_PORT}`), and is server_url (or "
            "XINFERENCE_ENDPOINT) the address that it printed?"
        )
    return XinferenceConnectionError(msg, url=url)


def port_hint(url: str) -> str:
    """Return a sentence on the port where the URL of a plain-HTTP server names none; else nothing."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.port is not None or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return (
        f" The address has no port, so port 80 was tried; a Xinference server listens on {DEFAULT_PORT} unless told "
        f"otherwise: http://{host}:{DEFAULT_PORT}."
    )


def tls_failed(url: str, why: str) -> XinferenceConnectionError:
    """The server's certificate was refused, or it does not speak TLS: then that comes first."""
    if _NO_TLS.search(why):
        plain = base_of(url).replace("https://", "http://", 1)
        msg = f"The server at {base_of(url)} does not speak TLS: use http:// in server_url ({plain})."
    else:
        msg = (
            f"No secure connection to {base_of(url)} ({_clause(why)}). verify= takes the CA bundle that signed the "
            "server's certificate; verify=False skips the check."
        )
    return XinferenceConnectionError(msg, url=url, retryable=False)


def hung_up(
    url: str, why: str, *, request_id: str | None = None, stale_socket: bool = False
) -> XinferenceConnectionError:
    """The connection was there and was cut before an answer came."""
    msg = (
        f"{base_of(url)} closed the connection before it answered ({_clause(why)}). It may have restarted or be "
        "overloaded."
    )
    error = XinferenceConnectionError(msg, url=url, request_id=request_id)
    error.stale_socket = stale_socket
    return error


def cut_short(url: str, why: str, *, request_id: str | None = None) -> XinferenceConnectionError:
    """The connection was cut in the middle of the answer; never retried, since the work was done."""
    msg = f"The answer of {url} broke off before its end ({_clause(why)}). The server or a proxy in between went away."
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
        f"{base_of(url)} does not speak HTTP as a Xinference server does ({_clause(why)}). Is the port that "
        "of another service, or does it want https:// where server_url says http://?"
    )
    return XinferenceProtocolError(msg, url=url, request_id=request_id)
