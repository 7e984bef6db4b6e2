"""A clock and a server's logins that a test controls, and helpers for gates."""

from __future__ import annotations

import base64
import json
import threading
import time
from email.utils import formatdate

from xinference_bridge.client.auth.gate import CredentialGate, Permit
from xinference_bridge.errors import (
    XinferenceAuthenticationError,
    XinferenceConnectionError,
)

URL = "http://127.0.0.1:9997"
KEY = "xf-correct-horse"
PASSWORD = "battery-staple"
PATIENCE = 5.0  # maximum seconds for operations that must not hang


class FakeClock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


class FakeServer:
    """Xinference's logins: JWTs of 30 minutes, refresh tokens of single use, a clock one hour ahead of ours."""

    def __init__(self, clock: FakeClock, life: float = 1800.0, takes: float = 0.0) -> None:
        self.clock, self.life, self.takes = clock, life, takes
        self.password = PASSWORD
        self.asked: list[str] = []
        self.refresh_tokens: set[str] = set()
        self.issued = 0
        self.down = False
        self.answer_instead: tuple[int, bytes, dict[str, str]] | None = None
        self.lock = threading.Lock()

    def post(self, path: str, body: dict[str, str], authorization: str | None):
        with self.lock:
            self.asked.append(path)
        time.sleep(self.takes)
        if self.down:
            raise XinferenceConnectionError(f"Cannot reach {URL}.", url=URL)
        if self.answer_instead is not None:
            return self.answer_instead
        with self.lock:
            if path == "/token":
                if json.loads(json.dumps(body))["password"] != self.password:
                    return 401, b'{"detail":"Incorrect username or password"}', {}
            elif body["refresh_token"] in self.refresh_tokens:
                self.refresh_tokens.remove(body["refresh_token"])
            else:
                return 401, b'{"detail":"Invalid or expired refresh token"}', {}
            return 200, json.dumps(self.pair()).encode(), {"date": formatdate(self.clock() + 3600, usegmt=True)}

    def pair(self) -> dict[str, str]:
        self.issued += 1
        claims = {"sub": "u", "exp": int(self.clock() + 3600 + self.life), "type": "access"}
        payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        refresh = f"refresh-{self.issued}"
        self.refresh_tokens.add(refresh)
        return {"access_token": f"head.{payload}.sign{self.issued}", "refresh_token": refresh, "token_type": "bearer"}


def unused_post(path: str, body: dict[str, str], authorization: str | None):
    raise AssertionError("no login here")


def unauthorized(message: str = "401") -> XinferenceAuthenticationError:
    return XinferenceAuthenticationError(message, url=URL, status_code=401)


def enter(gate: CredentialGate) -> Permit:
    permit = gate.enter()
    assert isinstance(permit, Permit)
    return permit


def held(gate: CredentialGate):
    turn = gate.enter()
    assert not isinstance(turn, Permit)
    return turn


def eventually(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)
