"""Removes secrets, and traces of the recording machine, from an exchange before it is written.

Every occurrence of a secret becomes the same placeholder, so that a client that receives the placeholder during a
replay and sends it back still matches. Requests are also scrubbed before matching. Placeholders pass through unchanged.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import uuid
from collections import Counter
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus, urlsplit

from xinference_bridge.testing.bodies import bytes_as_json, form_as_json, is_form
from xinference_bridge.testing.server import REPLAY, REPLAY_URL, RecordedServer

if TYPE_CHECKING:
    from vcr.request import Request

RECORDED_AT = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""The `Date` of every recorded response. Tokens keep their lifetime, counted from here."""

_REQUEST_HEADERS = ("Content-Type", "Accept")
_RESPONSE_HEADERS = frozenset({"content-type", "location", "retry-after", "transfer-encoding", "www-authenticate"})
_FIXED_RESPONSE_HEADERS = {
    "date": RECORDED_AT.strftime("%a, %d %b %Y %H:%M:%S GMT"),
    "server": "uvicorn",
    "x-request-id": "request-id",
}

_JWT = re.compile(r"eyJ[\w-]{17,}\.([\w-]{17,})(?:\.[\w-]*)?")
_KEY = re.compile(r"\b(?:xf|sk)-[\w-]{16,}")
_ROOTS = ["/(?:root|home|Users|tmp|var|opt|srv|mnt|data|usr|work|private)"]
_ROOTS += [re.escape(str(folder)) for folder in (Path.cwd(), Path.home()) if folder != Path("/")]
# The file name stays and the path stays absolute, because tests check this quirk.
_PATH = re.compile(rf"(?<![\w.])(?:{'|'.join(_ROOTS)})/(?:[^\s\"'\\,;:<>()]*/)?")
_LOOPBACK = re.compile(r"\b(?:127\.0\.0\.1|localhost):\d+")
# A short host name ("vm") may be a word in a conversation, and does not identify a machine.
_HOST = re.compile(rf"\b(?!localhost\b)(?=\S{{6}}){re.escape(socket.gethostname())}\b")
_PRIVATE = re.compile(r"\b(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+\b")
_ABORTED = re.compile(r"/requests/[^/]+/abort$")
_PROCESS = re.compile(r"\bpid=\d+")
_NODE = f"{uuid.getnode():012x}"  # the network card's number, the last part of every UUID of version 1
_REQUEST_ID = re.compile(r'("request_id"\s*:\s*)"[^"]*"')

# A field with such a name contains a secret only on these paths. A chat's logprobs also have a field `token`.
_CREDENTIAL_PATHS = re.compile(r"^/(?:token$|v1/(?:auth|admin)/)")
_FIELDS = "username|(?:new_|old_|current_)?password|(?:setup_|access_|refresh_)?token|api_key|key"
_PLACEHOLDER = re.compile(r"xf-lab-key|lab-user|lab-password|scrubbed-\w+-\d+|.*\.scrubbed")
_JSON_FIELD = re.compile(rf'("({_FIELDS})"\s*:\s*")((?:[^"\\]|\\.)+)"')
_FORM_FIELD = re.compile(rf"((?:^|&)({_FIELDS})=)([^&]+)")


_MOST_FORMS = 5  # of a secret: escaped twice, with and without non-ASCII characters


class Scrubber:
    """Replaces each secret of one recording with one placeholder."""

    def __init__(self, server: RecordedServer) -> None:
        self._server = server
        self._known = {
            server.api_key: REPLAY.api_key,
            server.username: REPLAY.username,
            server.password: REPLAY.password,
        }
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def request(self, request: Request) -> Request:
        """Return the request as it is stored and matched. Changes the copy that vcrpy passes."""
        parts = urlsplit(request.uri)
        query = f"?{parts.query}" if parts.query else ""
        request.uri = REPLAY_URL + _ABORTED.sub("/requests/request-id/abort", parts.path) + query
        request.headers = {name: _text(request.headers[name]) for name in _REQUEST_HEADERS if name in request.headers}
        body = request.body
        if request._was_file or request._was_iter:  # noqa: SLF001 - vcrpy has no public name for it
            # vcrpy has read the body, and would otherwise return it as a file or an iterator again.
            body = request.body_bytes
            request._was_file = request._was_iter = False  # noqa: SLF001
        if body:
            request.body = _REQUEST_ID.sub(r'\1"request-id"', self._request_text(request, body, parts.path))
        return request

    def _request_text(self, request: Request, body: Any, path: str) -> str:
        if isinstance(body, str):
            return self._clean(body, path)
        if not isinstance(body, bytes):
            return self._clean(_dumped(body), path)  # the `json=` or `data=` argument of aiohttp
        content_type = request.headers.get("Content-Type", "")
        if is_form(content_type):
            request.headers["Content-Type"] = "multipart/form-data"
            return form_as_json(content_type, body, lambda text: self._clean(text, path))
        try:
            return self._clean(_text(body), path)
        except UnicodeDecodeError:
            return bytes_as_json(body)

    def response(self, request: Request, response: dict[str, Any]) -> dict[str, Any]:
        """Return the response as it is stored. Changes its argument."""
        headers = {name.lower(): values for name, values in response["headers"].items()}
        body = response["body"].get("string") or b""
        try:
            body = self._clean(_text(body), urlsplit(request.uri).path, _date(headers.get("date"))).encode()
        except UnicodeDecodeError:  # audio or an image: stored unchanged
            body = bytes(body)
        kept = {name: values for name, values in headers.items() if name in _RESPONSE_HEADERS}
        kept |= {name: [value] for name, value in _FIXED_RESPONSE_HEADERS.items() if name in headers}
        if "content-length" in headers:
            kept["content-length"] = [str(len(body))]
        response["headers"] = {name: [self._clean(v) for v in kept[name]] for name in sorted(kept)}
        response["body"]["string"] = body
        return response

    def _clean(self, text: str, path: str = "", now: datetime | None = None) -> str:
        with self._lock:
            if _CREDENTIAL_PATHS.match(path):
                text = _JSON_FIELD.sub(lambda m: m[1] + self._placeholder(m[2], _unescaped(m[3]), now) + '"', text)
                text = _FORM_FIELD.sub(lambda m: m[1] + self._placeholder(m[2], unquote_plus(m[3]), now), text)
            for secret, placeholder in self._known.items():
                if len(secret) >= 8:
                    for form in _forms(secret):
                        text = text.replace(form, placeholder)
            text = _JWT.sub(lambda m: self._placeholder("token", m[0], now), text)
            text = _KEY.sub(lambda m: self._placeholder("key", m[0], now), text)
        text = text.replace(urlsplit(self._server.url).netloc, urlsplit(REPLAY_URL).netloc)
        text = _PRIVATE.sub("192.0.2.1", _LOOPBACK.sub(urlsplit(REPLAY_URL).netloc, text))
        text = _PROCESS.sub("pid=1", text).replace(_NODE, "0" * 12)
        return _HOST.sub("lab-host", _PATH.sub("/lab/", text))

    def _placeholder(self, name: str, secret: str, now: datetime | None) -> str:
        if _PLACEHOLDER.fullmatch(secret):
            return secret
        if secret not in self._known:
            self._counts[name] += 1
            jwt = _JWT.fullmatch(secret)
            number = self._counts[name]
            made = _jwt(jwt[1], number, now) if jwt else None
            self._known[secret] = made or f"scrubbed-{name}-{number}"
        return self._known[secret]


def _jwt(payload: str, number: int, now: datetime | None) -> str | None:
    """Return an invalid token with the same lifetime, short enough not to look like a real one.

    None if the payload has no claims: a text may look like a token without being one.
    """
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        # Rounded to ten seconds, so that two recordings are identical.
        lifetime = round(claims["exp"] - (now or datetime.now(timezone.utc)).timestamp(), -1) if "exp" in claims else 0
        made = {"sub": REPLAY.username, "exp": int(RECORDED_AT.timestamp() + lifetime), "n": number}
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    return (
        ".".join(_unpadded(part) for part in ({"alg": "x"}, made)) + ".scrubbed" if isinstance(claims, dict) else None
    )


def _forms(text: str) -> list[str]:
    """Return the text as JSON escapes it, also within a string of JSON, and as it is; the longest first."""
    forms = [text]
    for form in forms:
        if len(forms) < _MOST_FORMS:
            forms += {json.dumps(form, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)} - {*forms}
    return sorted(forms, key=len, reverse=True)


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _unpadded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part, separators=(",", ":")).encode()).decode().rstrip("=")


def _date(values: list[str] | None) -> datetime | None:
    return parsedate_to_datetime(values[0]) if values else None


def _dumped(body: Any) -> str:
    return "" if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else bytes(value).decode()
