"""The gate of a username and password: one login for all callers, whose token is renewed in advance."""

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
from xinference_bridge.client.auth.refusals import REJECTED_ELSEWHERE, ServerRefusals, refused_message
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
# The token is renewed when a fifth of its lifetime is left, at most two minutes; callers keep using the current one.
RENEW_SHARE = 0.2
RENEW_AT_MOST = 120.0
# It counts as expired slightly early: `Date` lags by up to two seconds (`exp` minus `Date` was 1801 for 1800 s,
# 4.1.0), and a request needs time to arrive. An expired token counts as a failed attempt towards the ban.
SLACK_SHARE = 0.05
SLACK_AT_MOST = 5.0
# A failed renewal in advance is retried after this pause, not by the next caller.
RENEWAL_PAUSE = 5.0
# Valid characters of an Authorization header. A line break would start another header.
_SENDABLE = re.compile(r"[\x21-\x7e]+")
_OK, _TOO_MANY_REQUESTS, _SERVER_ERRORS = 200, 429, 500
# A server without authentication has no such route; with the web UI it answers 405.
_NO_SUCH_ROUTE = frozenset({404, 405})
_TRY_AGAIN = frozenset({502, 503, 504})


def expiry_of(token: str) -> float | None:
    """Return a JWT's `exp`, in the server's time, without verification; None if it has none."""
    try:
        payload = token.split(".")[1]
        exp = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
        return float(exp) if math.isfinite(exp) else None
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def server_time(headers: Mapping[str, str]) -> float | None:
    """Return the server's time from its `Date` header, in whole seconds; None without the header."""
    for name, value in headers.items():
        if name.lower() == "date":
            try:
                return parsedate_to_datetime(value).timestamp()
            except (TypeError, ValueError, OverflowError):
                return None
    return None


@dataclass(eq=False)
class Token:
    """An access token; times are on the gate's clock. `proven`: the server has accepted it once."""

    permit: Permit
    renew_at: float
    expires_at: float
    proven: bool = False


class LoginGate(CredentialGate):
    """The gate of a username and password. `post` is called on one daemon thread at a time.

    A new token is trusted without a probe. A rejected token that worked before is renewed; one that is rejected before
    it ever worked counts as a rejected credential, which avoids a loop with a server that rejects its own tokens.
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
        """Like `CredentialGate.enter`, without a lock for a fresh token.

        A login without an answer ends the wait with an error. The next caller logs in again.
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
        except RuntimeError as error:  # no thread available; nobody may wait for it
            self._end(turn, error)
        return turn if token is None else token.permit

    def when_accepted(self, permit: Permit) -> None:
        """Like `Permit.accepted`."""
        token = self._token
        if token is not None and token.permit is permit and not token.proven:
            with self._lock:
                token.proven = True
                self._refusal = None

    def when_rejected(self, permit: Permit, error: XinferenceAuthenticationError) -> bool:
        """Like `Permit.rejected`. Returns True if there is a newer token or one will be fetched."""
        with self._lock:
            if permit.authorization is not None:
                self._refusals.add(self._clock())
            token = self._token
            # By permit, not by text: 4.1.0 issues the same JWT twice within one second.
            if token is None or token.permit is not permit:
                return True
            self._token = None
            if token.proven:
                return True
            self._refresh_token = None
            self._refuse(error)
            return False

    def when_undecided(self, permit: Permit) -> None:
        """Do nothing: no caller waits for a request with a token."""

    def refused_message(self) -> str:
        """Like `refused_message`, for a token from this login."""
        return refused_message(self.server_url, "token", self.cool_down())

    def forget(self) -> None:
        """Like `CredentialGate.forget`, also for the user's other processes."""
        super().forget()
        if self._shared is not None:
            self._shared.forget(self._shared.name_of(self._username, self._password.get_secret_value()))

    def renew_after_fork(self) -> None:
        """Like `CredentialGate.renew_after_fork`. Keeps the token; the single-use refresh token is the parent's."""
        super().renew_after_fork()
        self._turn = self._refresh_token = None

    def _renew(self, turn: Turn) -> None:
        """Fetch a token and end the turn in any case. Runs on its own thread."""
        error: BaseException | None = None
        try:
            if not self._refresh():
                self._log_in()
        except BaseException as raised:  # noqa: BLE001  raised in the waiting callers
            error = without_frames(raised)
        self._end(turn, error)

    def _end(self, turn: Turn, error: BaseException | None) -> None:
        with self._lock:
            if isinstance(error, XinferenceAuthenticationError | XinferenceBannedError):
                self._refuse(error)
                self._postpone_renewal(self._clock() + self.cool_down())
                error = None  # waiting callers enter again and get the remembered rejection
            elif error is not None:
                self._postpone_renewal(self._clock() + RENEWAL_PAUSE)
            if self._turn is turn:
                self._turn = None
        turn.end(error)

    def _postpone_renewal(self, until: float) -> None:
        if self._token is not None:
            self._token.renew_at = min(until, self._token.expires_at)

    def _refresh(self) -> bool:
        """Use the refresh token. Return False if there is no valid one. It is kept if no answer came."""
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
        # 401 "Invalid or expired refresh token": used, or revoked by a new password.
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
            message = refused_message(self.server_url, "password", leave.seconds) + REJECTED_ELSEWHERE
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
            # It was already expired, so the clocks cannot be compared. It is used until it is rejected.
            life = math.inf
        slack = min(SLACK_AT_MOST, SLACK_SHARE * life)
        margin = max(slack, min(RENEW_AT_MOST, RENEW_SHARE * life))
        # Counted from before the request was sent, so never too late.
        token = Token(Permit(self, Secret("Bearer " + access)), asked + life - margin, asked + life - slack)
        self._take(token, SecretStr(refresh) if isinstance(refresh, str) and refresh else None)

    def _take(self, token: Token, refresh_token: SecretStr | None) -> None:
        with self._lock:
            self._token, self._refresh_token = token, refresh_token

    def _error(self, path: str, status: int, body: bytes) -> XinferenceError:
        """Return the error for the response to a login. The body is not quoted, because it may echo the password."""
        url = self.server_url + path
        if status == UNAUTHORIZED:
            message = refused_message(self.server_url, "password", self.cool_down())
            return XinferenceAuthenticationError(message, url=url, status_code=status)
        if status == _TOO_MANY_REQUESTS and b"failed attempts" in body:
            return XinferenceBannedError(
                f"{self.server_url} has banned this IP address for up to an hour after too many failed attempts (429). "
                "Ask its administrator to lift the ban, and check the credentials of every program at this address.",
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
