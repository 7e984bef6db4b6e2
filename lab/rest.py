"""The REST calls that set up a server, with urllib, because the lab must run before anything is installed."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from lab.say import LabError

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class RefusedError(LabError):
    """The server answered with an error status."""

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        super().__init__(f"{method} {path} answered {status}: {body[:800]}")
        self.status = status


class Rest:
    """Calls one server with one credential. Paths are relative to the endpoint."""

    def __init__(self, endpoint: str, token: str | None = None) -> None:
        self.endpoint = endpoint
        self.token = token

    def get(self, path: str, timeout: float = 10) -> Any:
        """Return the JSON response. Raise RefusedError for an error status, and OSError without a response."""
        return self._call("GET", path, None, timeout)

    def post(self, path: str, body: Any, timeout: float = 60) -> Any:
        """Like `get`, with a JSON body."""
        return self._call("POST", path, body, timeout)

    def delete(self, path: str, timeout: float = 60) -> Any:
        """Like `get`, with the method DELETE."""
        return self._call("DELETE", path, None, timeout)

    def _call(self, method: str, path: str, body: Any, timeout: float) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.endpoint + path, data=data, headers=headers, method=method)
        try:
            with _OPENER.open(request, timeout=timeout) as response:
                text = response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                raise RefusedError(method, path, error.code, error.read().decode(errors="replace")) from None
        return json.loads(text) if text else None
