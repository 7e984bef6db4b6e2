"""HTTP with `requests`: one exchange or one stream of bytes. Retries and credentials are handled elsewhere."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import requests
import urllib3
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict

from xinference_bridge.client.transport import container
from xinference_bridge.client.transport.watched_sockets import TooMuchOverhead, Watch, WatchedAdapter, WatchTimeout
from xinference_bridge.connection_settings import ConnectionSettings
from xinference_bridge.errors import XinferenceConfigurationError, XinferenceConnectionError, XinferenceError
from xinference_bridge.protocol import connection_errors
from xinference_bridge.protocol.body import BodyReader
from xinference_bridge.protocol.http import Response
from xinference_bridge.redaction import Secret, without_frames

if TYPE_CHECKING:
    from xinference_bridge.client.transport.call import Call
    from xinference_bridge.client.transport.upload import Sending

#: Maximum bytes of one read. Received bytes are passed on immediately, however few.
_READ_SIZE = 65536
#: How long to wait for the end of a stream after `[DONE]`, so that its socket can be reused.
_GRACE_SECONDS = 0.2


class RequestsTransport:
    """The sockets of one connection for sync callers. Thread-safe.

    Uses the adapter below `requests.Session`: a session shared by threads has races on its headers and cookies, lets
    `.netrc` replace `Authorization`, and looks up proxies on every call.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self._adapter = WatchedAdapter(
            pool_connections=4, pool_maxsize=settings.pool_size, max_retries=0, pool_block=False
        )
        over_tls = settings.server_url.startswith("https:")
        self._verify = settings.verify
        self._cert = settings.cert if over_tls else None
        self._limit = settings.max_response_bytes
        proxy = settings.proxy_to_use()
        # A proxy's URL may contain a password.
        self._proxies = {"http": Secret(proxy), "https": Secret(proxy)} if proxy else {}

    def send(self, call: Call, authorization: str | None) -> Response:
        """Return the complete response, with any status. Raise XinferenceConnectionError or XinferenceTimeoutError."""
        stream = self.stream(call, authorization)
        try:
            return stream.read()
        except BaseException:
            stream.close()
            raise

    def stream(self, call: Call, authorization: str | None) -> RequestsStream:
        """Return the response's head and the stream of its bytes."""
        watch = Watch(call.budget.timeout, call.remaining())
        sending = call.upload.attempt(call.remaining) if call.upload is not None else None
        try:
            answer = self._open(call, authorization, watch, sending)
        except XinferenceError:
            if sending is not None and sending.failure is not None:
                raise sending.failure from None
            raise
        try:
            return RequestsStream(answer, call, watch, self._limit)
        except XinferenceError:
            answer.close()
            raise

    def close(self) -> None:
        """Close every pooled socket."""
        self._adapter.close()

    def drop_after_fork(self) -> None:
        """In a forked child: close its copies of the idle sockets without sending anything.

        Takes none of the pools' locks, because another thread of the parent may have held them. An open copy
        would hide from the server that the parent closed its own.
        """
        pools = getattr(self._adapter.poolmanager.pools, "_container", {})
        for pool in list(pools.values()):
            for connection in list(getattr(pool.pool, "queue", ())):
                if connection is not None and connection.sock is not None:
                    connection.sock.close()

    def _open(self, call: Call, authorization: str | None, watch: Watch, sending: Sending | None) -> requests.Response:
        try:
            return self._adapter.send(
                _prepared(call, authorization, sending),
                stream=True,
                timeout=WatchTimeout(watch, call.connect_patience()),  # type: ignore[arg-type] # urllib3 accepts it
                verify=self._verify,
                cert=self._cert,
                proxies=self._proxies,
            )
        except requests.RequestException as failure:
            raise _while_opening(call, failure, watch) from without_frames(failure)
        except (ValueError, urllib3.exceptions.HTTPError) as failure:  # an invalid URL or header
            raise _unusable(call, failure) from without_frames(failure)
        except TimeoutError as failure:
            raise call.timed_out() from without_frames(failure)
        except OSError as failure:  # a missing CA bundle or client certificate
            raise _unusable_file(call, failure) from without_frames(failure)


class RequestsStream:
    """The bytes of one response as they arrive. Closing it closes the socket immediately."""

    def __init__(self, answer: requests.Response, call: Call, watch: Watch, limit: int | None) -> None:
        self._answer = answer
        self._call = call
        self._watch = watch
        self.status = answer.status_code
        self.headers = answer.headers
        self.request_id = _request_id(answer, call)
        self._body = BodyReader(answer.headers, limit, call.url, self.request_id)

    def __iter__(self) -> Iterator[bytes]:
        raw, watch, body = self._answer.raw, self._watch, self._body
        try:
            # Not `stream`, which waits for a complete chunk or, without chunks, for a full buffer.
            while data := raw.read1(_READ_SIZE, decode_content=False):
                watch.overhead = 0
                if content := body.feed(data):
                    yield content
        except _READ_FAILURES as failure:
            raise _while_reading(self._call, failure) from without_frames(failure)
        body.end()

    def read(self) -> Response:
        """Return the rest as one response, with any status."""
        return Response(self.status, self._whole(), self.headers, self._call.url, self.request_id)

    def _whole(self) -> bytes:
        length = self._body.length
        try:
            if length is None:
                return b"".join(self)
            # The length is within the limit: one read.
            self._watch.overhead = -length
            return self._answer.raw.read(decode_content=False)
        except _READ_FAILURES as failure:
            raise _while_reading(self._call, failure) from without_frames(failure)
        except MemoryError:
            raise connection_errors.out_of_memory(self._call.url, request_id=self.request_id) from None

    def finish(self, chunks: Iterator[bytes]) -> None:
        """Read the end of a finished stream, so that its socket can be reused. Quick, and never raises."""
        self._watch.end_within(_GRACE_SECONDS)
        with suppress(XinferenceError):
            next(chunks, None)

    def close(self) -> None:
        """Return the socket to the pool if the response is complete, else close it.

        4.1.0 notices the closed socket immediately and aborts on its own. Measured: the transformers engine stops at
        its next token, 0.05 s after the close; llama.cpp continues to the end (1,535 tokens of 1,501 requested and 34
        of prompt), and `POST …/requests/{id}/abort` has no effect there, before or after the close: it answers `NO_OP`.
        So nothing else is sent.
        """
        self._answer.close()


_READ_FAILURES = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)


def _prepared(call: Call, authorization: str | None, sending: Sending | None) -> requests.PreparedRequest:
    prepared = requests.PreparedRequest()
    prepared.method = call.request.method
    prepared.url = call.url
    prepared.body = call.body if sending is None else sending  # type: ignore[assignment] # an iterable is sent in pieces
    prepared.headers = CaseInsensitiveDict(call.headers(authorization))
    if call.body is not None:
        prepared.headers["Content-Length"] = str(len(call.body))
    prepared.hooks = default_hooks()
    return prepared


def _while_opening(call: Call, failure: requests.RequestException, watch: Watch) -> XinferenceError:
    if isinstance(failure, requests.ConnectTimeout):
        if call.is_late():
            return call.deadline_passed()
        return connection_errors.connect_timed_out(
            call.url, call.connect_timeout, in_container=container.inside_container()
        )
    if isinstance(failure, requests.ReadTimeout):
        return call.timed_out()
    if isinstance(failure, requests.exceptions.SSLError):
        return _tls(call, failure)
    if isinstance(failure, requests.exceptions.ProxyError):
        return XinferenceConnectionError(f"The proxy on the way to {call.url} does not answer.", url=call.url)
    if isinstance(failure, requests.ConnectionError):
        return _broken(call, _reason(failure), watch)
    if isinstance(failure, requests.exceptions.InvalidHeader):  # of the response; ours were checked
        return connection_errors.not_http(call.url, _short(failure), request_id=call.request_id)
    return _unusable(call, failure)


def _broken(call: Call, reason: BaseException, watch: Watch) -> XinferenceError:
    if isinstance(reason, TimeoutError):  # while sending the request
        return call.timed_out()
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return connection_errors.cannot_connect(call.url, _short(reason), in_container=container.inside_container())
    if isinstance(reason, http.client.IncompleteRead):
        return connection_errors.cut_short(call.url, "amid its headers", request_id=call.request_id)
    if isinstance(reason, http.client.HTTPException) and not isinstance(reason, http.client.RemoteDisconnected):
        if "HTTP/1.1".startswith(getattr(reason, "line", " ").strip()):
            return connection_errors.cut_short(call.url, "amid its first line", request_id=call.request_id)
        return connection_errors.not_http(call.url, _short(reason), request_id=call.request_id)
    return connection_errors.hung_up(
        call.url, _short(reason), request_id=call.request_id, stale_socket=watch.found_stale()
    )


def _unusable(call: Call, failure: BaseException) -> XinferenceConfigurationError:
    return XinferenceConfigurationError(f"{call.url} cannot be requested: {failure}", url=call.url)


def _while_reading(call: Call, failure: BaseException) -> XinferenceError:
    if isinstance(failure, (urllib3.exceptions.ReadTimeoutError, TimeoutError)):
        return call.timed_out()
    if any(isinstance(argument, TooMuchOverhead) for argument in (failure, *failure.args)):
        return connection_errors.not_http(call.url, _short(_reason(failure)), request_id=call.request_id)
    return connection_errors.cut_short(call.url, _short(failure), request_id=call.request_id)


def _tls(call: Call, failure: BaseException) -> XinferenceConnectionError:
    return connection_errors.tls_failed(call.url, _short(_reason(failure)))


def _unusable_file(call: Call, failure: OSError) -> XinferenceConfigurationError:
    return XinferenceConfigurationError(f"verify= or cert= names a file that cannot be used: {failure}", url=call.url)


def _reason(failure: BaseException) -> BaseException:
    """Return the cause below the wrappers of requests and urllib3."""
    inner = failure.args[0] if failure.args and isinstance(failure.args[0], BaseException) else failure
    inner = getattr(inner, "reason", None) or inner
    if isinstance(inner, urllib3.exceptions.ProtocolError) and len(inner.args) > 1:
        second = inner.args[1]
        return second if isinstance(second, BaseException) else inner
    return inner if isinstance(inner, BaseException) else failure


def _short(failure: BaseException) -> str:
    # urllib3 begins with the connection object's repr: "HTTPConnection(host=…): Failed to …: [Errno 111] …"
    text = str(failure) or type(failure).__name__
    return text.rsplit(": ", 1)[-1].strip() if "Connection" in text.split(":", 1)[0] else text


def _request_id(answer: requests.Response, call: Call) -> str:
    return str(answer.headers.get("X-Request-ID") or call.request_id)
