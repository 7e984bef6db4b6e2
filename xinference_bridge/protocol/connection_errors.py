"""The errors of failed connections. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from xinference_bridge.errors import XinferenceConnectionError, XinferenceProtocolError, XinferenceTimeoutError

#: The default port of a Xinference server.
DEFAULT_PORT = 9997
#: OpenSSL's messages for a response that is not TLS, such as plain HTTP.
_NO_TLS = re.compile(r"wrong.version.number|record layer failure|http request|unknown protocol", re.IGNORECASE)
_LOOPBACK = re.compile(r"^(localhost|127\.\d+\.\d+\.\d+|::1)$")


def base_of(url: str) -> str:
    """Return the scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else url


def _clause(why: str) -> str:
    """Return a reason for use inside a sentence, without a full stop."""
    return why.strip().rstrip(". ") or "no reason given"


def cannot_connect(url: str, why: str, *, in_container: bool) -> XinferenceConnectionError:
    """Return the error for a server that cannot be reached, with the likely causes."""
    parts = urlsplit(url)
    msg = f"Cannot reach a Xinference server at {base_of(url)} ({_clause(why)}).{port_hint(url)}"
    if in_container and _LOOPBACK.match(parts.hostname or ""):
        port = parts.port or DEFAULT_PORT
        msg += (
            f" Either the server is not running, or it runs outside this container: inside it, {parts.hostname} is the "
            "container itself. If the server runs on the host, or in a container that publishes its port "
            f"(`-p {port}:{port}`), use http://host.docker.internal:{port} and start it with `-H 0.0.0.0`. If it runs "
            f"in the same Docker network, use its container's name instead of {parts.hostname}."
        )
    else:
        msg += (
            f" Check that it is running (`xinference-local -H 0.0.0.0 -p {DEFAULT_PORT}`) and that server_url (or "
            "XINFERENCE_ENDPOINT) is the address that it printed."
        )
    return XinferenceConnectionError(msg, url=url)


def port_hint(url: str) -> str:
    """Return a hint about the port if an http:// URL has none; else an empty string."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.port is not None or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return (
        f" The address has no port, so port 80 was used. A Xinference server listens on {DEFAULT_PORT} by default: "
        f"http://{host}:{DEFAULT_PORT}."
    )


def tls_failed(url: str, why: str) -> XinferenceConnectionError:
    """Return the error for a failed TLS connection: plain HTTP on the port, or an untrusted certificate."""
    if _NO_TLS.search(why):
        plain = base_of(url).replace("https://", "http://", 1)
        msg = f"The server at {base_of(url)} does not speak TLS: use http:// in server_url ({plain})."
    else:
        msg = (
            f"No secure connection to {base_of(url)} ({_clause(why)}). Pass the CA bundle that signed the server's "
            "certificate as verify=. verify=False turns verification off."
        )
    return XinferenceConnectionError(msg, url=url, retryable=False)


def hung_up(
    url: str, why: str, *, request_id: str | None = None, stale_socket: bool = False
) -> XinferenceConnectionError:
    """Return the error for a connection that the server closed before it answered."""
    msg = (
        f"{base_of(url)} closed the connection before it answered ({_clause(why)}). It may have restarted or be "
        "overloaded."
    )
    error = XinferenceConnectionError(msg, url=url, request_id=request_id)
    error.stale_socket = stale_socket
    return error


def cut_short(url: str, why: str, *, request_id: str | None = None) -> XinferenceConnectionError:
    """Return the error for a truncated response. It is never retried, because the server did the work."""
    msg = f"The response of {url} was truncated ({_clause(why)}). The server or a proxy closed the connection."
    return XinferenceConnectionError(msg, url=url, request_id=request_id, retryable=False)


def connect_timed_out(url: str, seconds: float | None, *, in_container: bool) -> XinferenceTimeoutError:
    """Return the error for a connection that did not open within connect_timeout. It may be retried."""
    why = f"no connection within {seconds:g} s" if seconds else "no connection in time"
    error = cannot_connect(url, why, in_container=in_container)
    return XinferenceTimeoutError(error.message + " To wait longer, raise connect_timeout=.", url=url, retryable=True)


def read_timed_out(url: str, seconds: float | None, *, request_id: str | None = None) -> XinferenceTimeoutError:
    """Return the error for a server that sent no byte within the timeout."""
    waited = f"for {seconds:g} s" if seconds else "in time"
    msg = (
        f"{url} sent nothing {waited}. A large model may need longer for its first token: raise timeout=, the maximum "
        "wait for each byte."
    )
    return XinferenceTimeoutError(msg, url=url, request_id=request_id)


def deadline_passed(url: str, seconds: float | None) -> XinferenceTimeoutError:
    """Return the error for a call that exceeded its deadline."""
    msg = f"The call to {url} exceeded its deadline of {seconds:g} s." if seconds else f"{url}: deadline passed."
    return XinferenceTimeoutError(msg, url=url)


def out_of_memory(url: str, *, request_id: str | None = None) -> XinferenceProtocolError:
    """Return the error for a response that does not fit into memory."""
    msg = f"The response of {url} does not fit into memory. max_response_bytes= limits the size of a response."
    return XinferenceProtocolError(msg, url=url, request_id=request_id)


def not_http(url: str, why: str, *, request_id: str | None = None) -> XinferenceProtocolError:
    """Return the error for a response that is not HTTP."""
    msg = (
        f"{base_of(url)} does not speak HTTP as a Xinference server does ({_clause(why)}). Another service "
        "may use this port, or server_url may need https:// instead of http://."
    )
    return XinferenceProtocolError(msg, url=url, request_id=request_id)
