"""Convert a failed response to a typed error with the server's message and the next step. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from xinference_bridge import errors as e
from xinference_bridge.protocol.connection_errors import base_of, port_hint
from xinference_bridge.protocol.http import Request, Response

_LONGEST_QUOTE = 600
#: What is read of a page that is no JSON: cut first, then looked at.
_LONGEST_PAGE = 65536
_MOST_FIELDS = 20

# Seen on 4.1.0; each stands in the text of an answer, whose status alone does not tell the case.
_NOT_FOUND = re.compile(
    r"Available model uids|Model not found|not found in the model list|does not exist|is not launched|"
    r"cached, retry after",
    re.IGNORECASE,
)
_WRONG_TYPE = re.compile(
    r"is not for (chat|generat|embed|rerank)|does not support (chat|generate|embedding|rerank)", re.IGNORECASE
)
_CONTEXT = re.compile(
    r"context (size|length|window)|maximum context|exceeds? the (available )?context|n_ctx|prompt is too long|"
    r"longer than the maximum model length|input.{0,40}too long",
    re.IGNORECASE,
)
_LOADING = re.compile(r"is loading|not ready|still launching|model is being", re.IGNORECASE)
_BANNED = re.compile(r"Too many failed attempts", re.IGNORECASE)
_RATE_LIMIT = re.compile(r"rate limit", re.IGNORECASE)
# "unsupported operand type(s) for +" is Python's own, and means that the server stumbled.
_UNSUPPORTED = re.compile(
    r"Only .{0,2000}support tool|Streaming support for tool calls is available only|not implemented|not supported|"
    r"unsupported(?! operand)",
    re.IGNORECASE | re.DOTALL,
)
# A cluster's worker has died with its replica: the supervisor answers 500 with its own failure to reach it, until it
# misses the worker and asks the replicas that are left (seen on 4.1.0; no other 500 holds these words).
_REPLICA_GONE = re.compile(r"Remote server .{0,200} closed|Connect call failed")
_VALIDATION = re.compile(r"\d+ validation errors? for", re.IGNORECASE)

_BY_STATUS: dict[int, type[e.XinferenceError]] = {
    400: e.XinferenceBadRequestError,
    401: e.XinferenceAuthenticationError,
    403: e.XinferencePermissionError,
    404: e.XinferenceBadRequestError,
    408: e.XinferenceTimeoutError,
    409: e.XinferenceBadRequestError,
    413: e.XinferenceBadRequestError,
    422: e.XinferenceBadRequestError,
    429: e.XinferenceRateLimitError,
    501: e.XinferenceUnsupportedError,
}

#: An unknown model's 404 has a type of its own, so these are about the path.
_NO_SUCH_PATH = frozenset({404, 405})

#: The status stands for a server that is busy or away just now, so that the same request may succeed in a moment.
PASSING_STATUS = frozenset({502, 503, 504})


def error_from_response(request: Request, response: Response, now: float | None = None) -> e.XinferenceError:
    """Return the typed error for a response with another status than 200; `now` as in `seconds_to_wait`."""
    if response.status < 300:
        return not_a_stream(request, response)
    if response.status < 400:
        return _redirect(request, response)
    said = what_the_server_said(response.body)
    kind = _kind(response.status, said, request)
    error = kind(
        _sentence(kind, said, request, response),
        url=response.url,
        model_uid=request.model_uid,
        status_code=response.status,
        request_id=response.request_id,
        body=said,
        retry_after=seconds_to_wait(response.headers, now),
    )
    if isinstance(error, e.XinferenceServerError):
        error.replica_gone = bool(_REPLICA_GONE.search(said))
        error.retryable = response.status in PASSING_STATUS or error.replica_gone
    return error


_BEGAN, _AMID, _WHOLE = "began a stream with an error", "sent an error amid a stream", "answered 200 with an error"


@dataclass(frozen=True, slots=True)
class _ErrorUnder200(Response):
    """An error inside an HTTP 200 response."""

    how: str = _BEGAN


def error_told(data: Any) -> Any:
    """Return the error in a JSON response with HTTP 200, in any form; None if there is none.

    Seen of 4.1.0 are `{"error": "text"}` and `{"error": {…}}`; `{"detail": …}` is FastAPI's, `{"object": "error", …}`
    vLLM's and FastChat's, passed on by gateways.
    """
    if not isinstance(data, Mapping):
        return None
    if data.get("error") is not None:
        return data["error"]
    if data.get("object") == "error":
        return data.get("message") or data.get("detail") or dict(data)
    return data["detail"] if data.get("detail") and "choices" not in data and "data" not in data else None


def error_from_event(
    request: Request, told: Any, *, url: str, request_id: str | None, begun: bool = False
) -> e.XinferenceError:
    """Return the typed error that an event of a stream of HTTP 200 stands for.

    Args:
        request: What was asked.
        told: What the event tells of the error, from `error_told`.
        url: Where.
        request_id: As the server's log has it.
        begun: Whether events of the answer came before it.
    """
    return _error_under_200(request, told, url, request_id, _AMID if begun else _BEGAN)


def error_from_answer(response: Response) -> e.XinferenceError | None:
    """Return the typed error that a whole answer of HTTP 200 stands for; None when it is no error."""
    try:
        told = error_told(orjson.loads(response.body))
    except orjson.JSONDecodeError:
        return None
    if told is None:
        return None
    return _error_under_200(Request("POST", ""), told, response.url, response.request_id, _WHOLE)


def _error_under_200(request: Request, told: Any, url: str, request_id: str | None, how: str) -> e.XinferenceError:
    said = _text_of(told)
    kind = _kind(429 if _RATE_LIMIT.search(said) else 500, said, request)
    response = _ErrorUnder200(200, said.encode(), {}, url, request_id, how)
    error = kind(
        _sentence(kind, said, request, response), url=url, model_uid=request.model_uid, request_id=request_id, body=said
    )
    if isinstance(error, e.XinferenceServerError):
        error.retryable = error.replica_gone = bool(_REPLICA_GONE.search(said))
    return error


def what_the_server_said(body: bytes) -> str:
    """The server's own words: `detail` as text or list, `error` as text or object, or the plain text."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body[:_LONGEST_PAGE].decode("utf-8", "replace").strip()
        return (_page_in_words(text) if text[:1] == "<" else text)[:_LONGEST_QUOTE]
    if isinstance(data, dict):
        for name in ("detail", "error", "message"):
            if data.get(name):
                return _text_of(data[name])
    return _text_of(data)


def _page_in_words(page: str) -> str:
    """What a page says to a reader: a proxy's few words, or of a long one (Xinference's own for a 404) the title.

    No pattern here looks for its end beyond the next `<`, or from more than one beginning: a gap that can end anywhere
    took more than a minute over a page of `<`.
    """
    text = re.sub(r"<(script|style|head)\b.*?(</\1>|$)", " ", page, flags=re.IGNORECASE | re.DOTALL)
    words = re.sub(r"\s+", " ", re.sub(r"<[^<>]*>", " ", text)).strip()
    name = _title_of(page)
    return f"a page titled {name!r}" if name and (len(words) > _LONGEST_QUOTE or not words) else words or "a page"


def _title_of(page: str) -> str:
    begin = re.search(r"<title\b[^<>]*>", page, re.IGNORECASE)
    end = page.lower().find("</title", begin.end()) if begin is not None else -1
    if begin is None or end < 0:
        return ""
    return " ".join(page[begin.end() : end].split())[:_LONGEST_QUOTE]


def _text_of(said: Any) -> str:
    if isinstance(said, str):
        return said[:_LONGEST_QUOTE]
    if isinstance(said, list):  # FastAPI's 422: one entry a field
        return "; ".join(_field_error(entry) for entry in said[:_MOST_FIELDS])[:_LONGEST_QUOTE]
    if isinstance(said, dict) and isinstance(said.get("message"), str):
        return str(said["message"])[:_LONGEST_QUOTE]
    return _as_json(said)


def _field_error(entry: Any) -> str:
    if isinstance(entry, str):
        return entry[:_LONGEST_QUOTE]
    if not isinstance(entry, dict) or not isinstance(entry.get("msg"), str):
        return _as_json(entry)
    place = entry.get("loc")
    parts = place[:_MOST_FIELDS] if isinstance(place, list) else []
    return f"{'.'.join(str(part) for part in parts if isinstance(part, (str, int)))}: {entry['msg'][:_LONGEST_QUOTE]}"


def _as_json(said: Any) -> str:
    try:
        return orjson.dumps(said).decode()[:_LONGEST_QUOTE]
    except TypeError:  # it reads JSON that is deeper than it writes
        return "JSON that is nested too deeply to be shown"


def _kind(status: int, said: str, request: Request) -> type[e.XinferenceError]:
    kind = _BY_STATUS.get(status)
    if status == 429 and _BANNED.search(said):
        return e.XinferenceBannedError
    if status in {401, 403, 429} and kind is not None:
        return kind
    if _CONTEXT.search(said):
        return e.XinferenceContextOverflowError
    if request.model_uid is not None and status in {400, 404} and _NOT_FOUND.search(said):
        return e.XinferenceModelNotFoundError
    if _WRONG_TYPE.search(said):
        return e.XinferenceModelTypeError
    if status == 503 and _LOADING.search(said):
        return e.XinferenceModelLoadingError
    if status in {400, 500, 501} and _UNSUPPORTED.search(said):
        return e.XinferenceUnsupportedError
    if status == 500 and _VALIDATION.search(said):
        # A parameter of the wrong kind: 4.1.0 answers a plain-text 500, but it would refuse it again.
        return e.XinferenceBadRequestError
    if kind is not None:
        return kind
    return e.XinferenceServerError if status >= 500 else e.XinferenceBadRequestError


def _sentence(kind: type[e.XinferenceError], said: str, request: Request, response: Response) -> str:
    write = _SENTENCES.get(kind, _plain)
    return write(_ended(said), request, response)


def _ended(said: str) -> str:
    """The server's words with one mark at their end, so that the next sentence can follow."""
    text = said.strip()
    if re.search(r"[!?…]$|[.!?]\)$", text):
        return text
    return f"{text.rstrip('. ') or 'no reason given'}."


def _asked(request: Request, response: Response) -> str:
    model = f" for model {request.model_uid!r}" if request.model_uid else ""
    what = response.how if isinstance(response, _ErrorUnder200) else f"answered {response.status}"
    return f"{response.url or request.path} {what}{model}"


def _plain(said: str, request: Request, response: Response) -> str:
    hint = ""
    if response.status in _NO_SUCH_PATH:
        hint = (
            f" Check that {base_of(response.url)} is a Xinference server whose version has this endpoint. Behind a "
            f"proxy, server_url may need a path.{port_hint(response.url)}"
        )
    elif _REPLICA_GONE.search(said):
        hint = " The replica is gone. GET /status lists the remaining workers."
    elif response.request_id and (response.status >= 500 or response.status == 200):
        hint = f" See the server's log for request id {response.request_id}."
    return f"{_asked(request, response)}: {said}{hint}"


def _authentication(said: str, request: Request, response: Response) -> str:
    return (
        f"{_asked(request, response)}: {said} The server requires a valid credential: pass api_key= (or set "
        "XINFERENCE_API_KEY), or username= and password=."
    )


def _permission(said: str, request: Request, response: Response) -> str:
    return (
        f"{_asked(request, response)}: {said} The credential is valid, but lacks a permission: ask the server's "
        "administrator for the scope or the model, or use another key."
    )


def _banned(said: str, request: Request, response: Response) -> str:
    return (
        f"{_asked(request, response)}: {said} The server has banned this IP address for up to an hour, because too "
        "many wrong credentials came from it. This is not retried: correct the credential first, then wait, or restart "
        "the server."
    )


def _rate_limit(said: str, request: Request, response: Response) -> str:
    return f"{_asked(request, response)}: {said} Lower max_concurrency= or raise max_retries=."


def _not_found(said: str, request: Request, response: Response) -> str:
    return f"No model {request.model_uid!r} runs at {base_of(response.url)}: {said}"


def _loading(said: str, request: Request, response: Response) -> str:
    wait = f"connection.wait_until_ready({request.model_uid!r})"
    return f"{_asked(request, response)}: {said} Wait for the model with {wait}."


def _context(said: str, request: Request, _response: Response) -> str:
    return (
        f"The prompt is longer than the context of model {request.model_uid!r}: {said} Shorten the prompt, lower "
        "max_tokens=, or launch the model with a larger context."
    )


_SENTENCES: dict[type[e.XinferenceError], Callable[[str, Request, Response], str]] = {
    e.XinferenceAuthenticationError: _authentication,
    e.XinferencePermissionError: _permission,
    e.XinferenceBannedError: _banned,
    e.XinferenceRateLimitError: _rate_limit,
    e.XinferenceModelNotFoundError: _not_found,
    e.XinferenceModelLoadingError: _loading,
    e.XinferenceContextOverflowError: _context,
}


def _redirect(request: Request, response: Response) -> e.XinferenceError:
    # Following it would send the credential and the caller's headers to another host.
    target = _without_secrets(response.headers.get("location"))
    msg = (
        f"{_asked(request, response)}: a redirect to {target}. It was not followed, because that would send the "
        "credential there. If that is the server, use it as server_url."
    )
    return e.XinferenceConfigurationError(msg, url=response.url, status_code=response.status, body=target)


def _without_secrets(location: str | None) -> str:
    """Return the target of a redirect, without user, query and fragment, which may contain tokens."""
    try:
        parts = urlsplit((location or "")[:_LONGEST_QUOTE])
    except ValueError:
        return "a malformed address"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", "")) or "an unknown address"


def seconds_to_wait(headers: Mapping[str, str], now: float | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, stated as a number or as a date.

    Args:
        headers: The answer's headers.
        now: The client's clock in seconds since 1970, for an answer without a Date header of its own.
    """
    header = headers.get("retry-after")
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        until, since = _moment(header), _moment(headers.get("date"))
        since = now if since is None else since
        return max(0.0, until - since) if until is not None and since is not None else None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _moment(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (TypeError, ValueError, OverflowError):
        return None


def not_a_stream(request: Request, response: Response) -> e.XinferenceError:
    """Return the error for a response that is not the requested stream: the server's own error if it is JSON."""
    try:
        data = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        data = None
    if (told := error_told(data)) is not None:
        return error_from_event(request, told, url=response.url, request_id=response.request_id)
    kind = response.headers.get("content-type") or "none"
    said = what_the_server_said(response.body)
    msg = (
        f"{response.url} answered a stream with the content type {kind!r}, not text/event-stream: {said[:200]!r}. Is "
        "server_url a Xinference server, and does a proxy in between pass its streams on?"
    )
    return e.XinferenceProtocolError(
        msg,
        url=response.url,
        model_uid=request.model_uid,
        status_code=response.status,
        request_id=response.request_id,
        body=said,
    )
