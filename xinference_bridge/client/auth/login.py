"""User and password: one login for all callers, its token renewed ahead of time and never twice at once."""

from __future__ import annotations

import base64
import json
import math
import re
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from pydantic import SecretStr

from xinference_bridge.client.auth.gate import UNAUTHORIZED, Clock, CredentialGate, Permit, Post, Turn
from xinference_bridge.client.auth.refusals import TOLD_ELSEWHERE, ServerRefusals, refused_message
from xinference_bridge.client.auth.shared_refusals import SharedRefusals
from xinference_bridge.errors import (
    XinferenceAuthenticationError,
    XinferenceBannedError,
    XinferenceError,
    XinferenceProtocolError,
    XinferenceRateLimitError,
    XinferenceServerError,
)
from xinference_bridge.redaction import Secret, without_frames

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

LOGIN_PATH = "/token"
REFRESH_PATH = "/v1/auth/refresh"
# The token is renewed when a fifth of its life is left, at most two minutes; callers go on with the present one.
RENEW_SHARE = 0.2
RENEW_AT_MOST = 120.0
# It counts as expired a little early: `Date` lags by up to two seconds (`exp` minus `Date` was 1801 for a life of 1800,
# 4.1.0), and a request needs time to arrive. An expired token counts as a failure towards the ban.
SLACK_SHARE = 0.05
SLACK_AT_MOST = 5.0
# A renewal ahead of time that got no answer is retried after this pause, not by the very next caller.
RENEWAL_PAUSE = 5.0
# What an Authorization header can hold; a line break in it would begin a header of its own.
_SENDABLE = re.compile(r"[\x21-\x7e]+")
_OK, _TOO_MANY_REQUESTS, _SERVER_ERRORS = 200, 429, 500
# A server without authentication has no such route; one with the web UI in its place answers 405.
_NO_SUCH_ROUTE = frozenset({404, 405})
_TRY_AGAIN = frozenset({502, 503, 504})


def expiry_of(token: str) -> float | None:
    """When a JWT expires by its own `exp`, by the server's clock; None when it does not say. Not verified."""
    try:
        payload = token.split(".")[1]
        exp = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
        return float(exp) if math.isfinite(exp) else None
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def server_time(headers: Mapping[str, str]) -> float | None:
    """The server's clock by its `Date` header, cut to whole seconds; None when it sent none."""
    for name, value in headers.items():
        if name.lower() == "date":
            try:
                return parsedate_to_datetime(value).timestamp()
            except (TypeError, ValueError, OverflowError):
                return None
    return None


@dataclass(eq=False)
class Token:
    """An access token, by its permit; the times are on the gate's clock. `proven`: the server has taken it once."""

    permit: Permit
    renew_at: float
    expires_at: float
    proven: bool = False


class LoginGate(CredentialGate):
    """The gate of a user and password; `post` is called on one daemon thread at a time.

    A fresh token is trusted without a probe. A token that worked and is refused is renewed; one that is refused before
    it ever worked counts as a refused credential, so that a server which refuses its own tokens meets no loop.
    """

    def __init__(
        self,
        server_url: str,
        username: str,
        password: SecretStr,
        *,
        post: Post,
        refusals: ServerRefusals | None = None,
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
        shared: SharedRefusals | None = None,
    ) -> None:
        super().__init__(server_url, refusals, clock)
        self.post = post
        self._username = username
        self._password = password
        self._wall_clock = wall_clock
        self._shared = shared
        self._token: Token | None = None
        self._refresh_token: SecretStr | None = None
        self._turn: Turn | None = None

    def enter(self) -> Permit | Future[None]:
        """Same as `CredentialGate.enter`; for a fresh token it takes no lock.

        A login that got no answer ends the wait by an error; whoever enters after that makes a new one.
        """
        token = self._token
        if token is not None and self._clock() < token.renew_at:
            return token.permit
        return self._enter_without_fresh_token()

    def _enter_without_fresh_token(self) -> Permit | Future[None]:
        with self._lock:
            now = self._clock()
            token = self._token if self._token is not None and now < self._token.expires_at else None
            if token is not None and (self._turn is not None or now < token.renew_at):
                return token.permit
            turn = self._turn
            if turn is not None:
                return turn
            if token is None:
                self._raise_while_resting(now)
            turn = self._turn = Turn()
        try:
            threading.Thread(target=self._renew, args=(turn,), name="xinference-login", daemon=True).start()
        except RuntimeError as error:  # no thread to be had; nobody must wait for it
            self._end(turn, error)
        return turn if token is None else token.permit

    def when_accepted(self, permit: Permit) -> None:
        """Same as `Permit.accepted`."""
        token = self._token
        if token is not None and token.permit is permit and not token.proven:
            with self._lock:
                token.proven = True
                self._refusal = None

    def when_rejected(self, permit: Permit, error: XinferenceAuthenticationError) -> bool:
        """Same as `Permit.rejected`; True when a newer token is there or will be fetched."""
        with self._lock:
            if permit.authorization is not None:
                self._refusals.add(self._clock())
            token = self._token
            # By permit, not by text: 4.1.0 gives out the very same JWT twice within one second.
            if token is None or token.permit is not permit:
                return True
            self._token = None
            if token.proven:
                return True
            self._refresh_token = None
            self._refuse(error)
            return False

    def when_undecided(self, permit: Permit) -> None:
        """Nobody waits for a request that carries a token."""

    def refused_message(self) -> str:
        """Same as `refused_message`, for a token that this login gave out."""
        return refused_message(self.server_url, "token", self.cool_down())

    def forget(self) -> None:
        """Same as `CredentialGate.forget`, for the other processes of this user, too."""
        super().forget()
        if self._shared is not None:
            self._shared.forget(self._shared.name_of(self._username, self._password.get_secret_value()))

    def renew_after_fork(self) -> None:
        """Same as `CredentialGate.renew_after_fork`: the token stays, the single-use refresh token is the parent's."""
        super().renew_after_fork()
        self._turn = self._refresh_token = None

    def _renew(self, turn: Turn) -> None:
        """Fetch a token and end the turn, whatever happens; runs on a thread of its own."""
        error: BaseException | None = None
        try:
            if not self._refresh():
                self._log_in()
        except BaseException as raised:  # noqa: BLE001  those who wait get it
            error = without_frames(raised)
        self._end(turn, error)

    def _end(self, turn: Turn, error: BaseException | None) -> None:
        with self._lock:
            if isinstance(error, XinferenceAuthenticationError | XinferenceBannedError):
                self._refuse(error)
                self._postpone_renewal(self._clock() + self.cool_down())
                error = None  # those who wait enter again, and are told what is remembered
            elif error is not None:
                self._postpone_renewal(self._clock() + RENEWAL_PAUSE)
            if self._turn is turn:
                self._turn = None
        turn.end(error)

    def _postpone_renewal(self, until: float) -> None:
        if self._token is not None:
            self._token.renew_at = min(until, self._token.expires_at)

    def _refresh(self) -> bool:
        """Spend the refresh token; False when there is none that the server takes. Kept when no answer came."""
        spent = self._refresh_token
        if spent is None:
            return False
        asked = self._clock()
        status, body, headers = self.post(REFRESH_PATH, {"refresh_token": Secret(spent.get_secret_value())}, None)
        if status == _OK:
            self._keep(asked, body, headers, REFRESH_PATH)
            return True
        if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERRORS:
            raise self._error(REFRESH_PATH, status, body)
        # 401 "Invalid or expired refresh token": spent, or revoked by a new password.
        self._refresh_token = None
        return False

    def _log_in(self) -> None:
        shared = self._shared
        if shared is None:
            self._log_in_alone()
            return
        name = shared.name_of(self._username, self._password.get_secret_value())
        leave = shared.wait_to_begin(name)
        if leave.verdict == "resting":
            message = refused_message(self.server_url, "password", leave.seconds) + TOLD_ELSEWHERE
            raise XinferenceAuthenticationError(message, url=self.server_url, status_code=UNAUTHORIZED)
        try:
            self._log_in_alone()
        except XinferenceAuthenticationError:
            shared.refused(name, towards_ban=False)
            raise
        except XinferenceError:
            shared.undecided(name)
            raise
        shared.accepted(name)

    def _log_in_alone(self) -> None:
        asked = self._clock()
        status, body, headers = self.post(
            LOGIN_PATH, {"username": self._username, "password": Secret(self._password.get_secret_value())}, None
        )
        if status == _OK:
            self._keep(asked, body, headers, LOGIN_PATH)
        elif status in _NO_SUCH_ROUTE:
            self._take(Token(Permit(self, None), math.inf, math.inf), None)
        else:
            raise self._error(LOGIN_PATH, status, body)

    def _keep(self, asked: float, body: bytes, headers: Mapping[str, str], path: str) -> None:
        try:
            answer = json.loads(body)
            refresh = answer.get("refresh_token")
            access = Secret(answer["access_token"].strip())
            if not _SENDABLE.fullmatch(access):
                raise ValueError
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise XinferenceProtocolError(
                f"{self.server_url}{path} answered 200 without an access token that can be sent. Check that "
                "the URL is that of a Xinference server.",
                url=self.server_url + path,
                status_code=_OK,
            ) from None
        now = server_time(headers)
        expiry = expiry_of(access)
        life = math.inf if expiry is None else expiry - (self._wall_clock() if now is None else now)
        if life <= 1:
            # By its own word it was dead on arrival: the clocks cannot be compared. It is used until it is refused.
            life = math.inf
        slack = min(SLACK_AT_MOST, SLACK_SHARE * life)
        margin = max(slack, min(RENEW_AT_MOST, RENEW_SHARE * life))
        # Counted from before the question was sent: late by nothing, early by the way there.
        token = Token(Permit(self, Secret("Bearer " + access)), asked + life - margin, asked + life - slack)
        self._take(token, SecretStr(refresh) if isinstance(refresh, str) and refresh else None)

    def _take(self, token: Token, refresh_token: SecretStr | None) -> None:
        with self._lock:
            self._token, self._refresh_token = token, refresh_token

    def _error(self, path: str, status: int, body: bytes) -> XinferenceError:
        """What an answer to a login means. The body is not quoted: validation errors echo the password."""
        url = self.server_url + path
        if status == UNAUTHORIZED:
            message = refused_message(self.server_url, "password", self.cool_down())
            return XinferenceAuthenticationError(message, url=url, status_code=status)
        if status == _TOO_MANY_REQUESTS and b"failed attempts" in body:
            return XinferenceBannedError(
                f"{self.server_url} has banned this address for too many failed attempts (429), for up to an hour. Ask "
                "its administrator to lift the ban, and check the credentials of every program at this address.",
                url=url,
                status_code=status,
            )
        if status == _TOO_MANY_REQUESTS:
            message = f"{self.server_url} takes no login just now (429). Wait, then retry."
            return XinferenceRateLimitError(message, url=url, status_code=status)
        if status >= _SERVER_ERRORS:
            message = f"The login at {url} failed with status {status}. See the server's log."
            return XinferenceServerError(message, url=url, status_code=status, retryable=status in _TRY_AGAIN)
        return XinferenceProtocolError(
            f"{url} answered {status}, which no Xinference login does. Check the URL, and what stands in front of it.",
            url=url,
            status_code=status,
        )
