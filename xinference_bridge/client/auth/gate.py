"""One gate for each credential: it decides who may send it, who waits, and who gets the last rejection.

The server bans an IP address for an hour after ten wrong credentials. A credential is therefore sent once until the
server has answered, and not at all for a while after a rejection. `api_key` and `login` are the two kinds.
"""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import TypeAlias

from xinference_bridge.client.auth.refusals import (
    COOL_DOWN,
    Refusal,
    ServerRefusals,
    cool_down_after,
    refused_message,
)
from xinference_bridge.environment import in_event_loop
from xinference_bridge.errors import XinferenceAuthenticationError, XinferenceError, XinferenceTimeoutError
from xinference_bridge.redaction import Secret, copy_of

Answer: TypeAlias = tuple[int, bytes, Mapping[str, str]]
Get: TypeAlias = Callable[[str, "str | None"], Answer]
"""`get(path, authorization)`: one GET in sync code, no retries; raises an XinferenceError when no answer came."""
Post: TypeAlias = Callable[[str, "dict[str, str]", "str | None"], Answer]
"""`post(path, json, authorization)`: one POST in sync code, no retries; raises as `Get` does."""
Clock: TypeAlias = Callable[[], float]

UNAUTHORIZED = 401
# 429 comes before the credential is checked (a ban); the others come from a proxy in front of the server.
_PROVES_NOTHING = frozenset({UNAUTHORIZED, 407, 429, 502, 503, 504, *range(300, 400)})


def proves_credential(status: int) -> bool:
    """Return whether a response with this status proves that the server accepted the credential."""
    return status not in _PROVES_NOTHING


class Turn(Future[None]):
    """A wait that ends for all callers at once. Each caller gets its own copy of the error.

    It counts as running from the start, so that cancelling one awaiting caller (`wrap_future`, with or without
    `shield`) never cancels it for the others. Do not use `shield`: a shielded wrapper outlives its closed loop
    and makes `concurrent.futures` log "Event loop is closed".
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Like `Future.exception`, but returns a copy."""
        error = super().exception(timeout)
        return None if error is None else copy_of(error)

    def result(self, timeout: float | None = None) -> None:
        """Like `Future.result`, but raises a copy."""
        error = self.exception(timeout)
        if error is not None:
            raise error

    def end(self, error: BaseException | None = None) -> None:
        """End the wait for all callers. Idempotent."""
        with suppress(InvalidStateError):
            if error is None:
                self.set_result(None)
            else:
                self.set_exception(error)


class Permit:
    """The permission to send now, with this `Authorization` header value (None: without one).

    Settle it with `accepted`, `rejected`, `undecided` or `answered`. Only the first call counts, so
    `finally: permit.undecided()` is safe. A permit that is dropped unsettled counts as undecided.
    """

    __slots__ = ("_gate", "authorization")

    def __init__(self, gate: CredentialGate, authorization: Secret | None) -> None:
        self._gate = gate
        self.authorization: str | None = authorization

    def accepted(self) -> None:
        """Record that the server accepted the credential, and release the waiting callers."""
        self._gate.when_accepted(self)

    def rejected(self, error: XinferenceAuthenticationError) -> bool:
        """Record a 401. Return True if the caller may retry once with the credential of a new permit."""
        return self._gate.when_rejected(self, error)

    def undecided(self) -> None:
        """Record that nothing was learned about the credential. The next caller becomes the probe."""
        self._gate.when_undecided(self)

    def answered(self, status: int) -> None:
        """Settle by the status of a response: `accepted` or `undecided`. For a 401 call `rejected`."""
        if proves_credential(status):
            self._gate.when_accepted(self)
        else:
            self._gate.when_undecided(self)

    def refused_message(self) -> str:
        """Return the message for a 401 to this permit's request. Call it before `rejected`."""
        return self._gate.refused_message()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(authorization={self.authorization!r})"


class CredentialGate(ABC):
    """The gate of one credential at one server, for all threads and event loops of this process; see `gate_for`."""

    def __init__(self, server_url: str, refusals: ServerRefusals | None = None, clock: Clock = time.monotonic) -> None:
        self.server_url = server_url
        self._clock = clock
        self._lock = threading.Lock()
        self._refusal: Refusal | None = None
        self._refused_in_a_row = 0
        self._refusals = ServerRefusals() if refusals is None else refusals

    @abstractmethod
    def enter(self) -> Permit | Future[None]:
        """Return a permit, or something to wait for before entering again.

        Raises a copy of the remembered XinferenceAuthenticationError during the cool-down after a rejection.
        """

    @abstractmethod
    def when_accepted(self, permit: Permit) -> None:
        """Implement `Permit.accepted`."""

    @abstractmethod
    def when_rejected(self, permit: Permit, error: XinferenceAuthenticationError) -> bool:
        """Implement `Permit.rejected`."""

    @abstractmethod
    def when_undecided(self, permit: Permit) -> None:
        """Implement `Permit.undecided`."""

    @abstractmethod
    def refused_message(self) -> str:
        """Implement `Permit.refused_message`."""

    def enter_now(self) -> Permit | None:
        """Return a permit if there is nothing to wait for, which is the usual case; else None.

        Raises:
            XinferenceAuthenticationError: The credential is in its cool-down after a rejection.
        """
        if in_event_loop() and self.must_wait():
            return None
        turn = self.enter()
        return turn if isinstance(turn, Permit) else None

    def must_wait(self) -> bool:
        """Return whether entering may read a file, which must happen in a thread in async code."""
        return False

    def wait(self, timeout: float | None) -> Permit:
        """Enter, wait as long as needed, and return the permit.

        Raises XinferenceTimeoutError after `timeout` seconds (None: no limit), the remembered rejection, or the
        error of a login that got no answer.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            turn = self.enter()
            if isinstance(turn, Permit):
                return turn
            try:
                turn.result(None if deadline is None else max(0.0, deadline - time.monotonic()))
            except FutureTimeoutError:
                raise self._too_late(timeout) from None

    async def await_permit(self, timeout: float | None) -> Permit:
        """Async version of `wait`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            turn = await asyncio.to_thread(self.enter)
            if isinstance(turn, Permit):
                return turn
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                await asyncio.wait_for(asyncio.wrap_future(turn), left)
            except asyncio.TimeoutError:
                raise self._too_late(timeout) from None

    def forget(self) -> None:
        """Forget a remembered rejection. The next caller sends the credential again."""
        with self._lock:
            self._refusal = None

    def renew_after_fork(self) -> None:
        """In a forked child: keep the verdicts; requests in flight belong to the parent."""
        self._lock = threading.Lock()

    def cool_down(self) -> float:
        """The cool-down in seconds, current or after the next rejection."""
        refusal = self._refusal
        if refusal is None:
            return COOL_DOWN
        left = refusal.until - self._clock()
        return left if left > 0 else cool_down_after(self._refused_in_a_row + 1)

    def _refuse(self, error: XinferenceError) -> None:
        """Remember a rejection. Requires the lock."""
        remembered = copy_of(error)
        remembered.__cause__ = None  # its frames may contain the request
        self._refused_in_a_row = 1 if self._refusal is None else self._refused_in_a_row + 1
        rest = cool_down_after(self._refused_in_a_row)
        self._refusal = Refusal(remembered, self._clock() + rest)

    def _raise_while_resting(self, now: float) -> None:
        refusal = self._refusal
        if refusal is not None and now < refusal.until:
            raise refusal.again(now)

    def _too_late(self, timeout: float | None) -> XinferenceTimeoutError:
        return XinferenceTimeoutError(
            f"No verdict on the credential for {self.server_url} came within {timeout} s: a login, or another caller's "
            "request that carries it for the first time, has not been answered. Raise the timeout, or look whether the "
            "server hangs.",
            url=self.server_url,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.server_url!r})"


class OpenGate(CredentialGate):
    """The gate without a credential: all callers pass. A 401 without a credential does not count towards a ban."""

    def __init__(self, server_url: str) -> None:
        super().__init__(server_url)
        self._permit = Permit(self, None)

    def enter(self) -> Permit | Future[None]:
        """Like `CredentialGate.enter`; always returns a permit."""
        return self._permit

    def when_accepted(self, permit: Permit) -> None:
        """Do nothing."""

    def when_rejected(self, permit: Permit, error: XinferenceAuthenticationError) -> bool:  # noqa: ARG002
        """Return False: there is no other credential."""
        return False

    def when_undecided(self, permit: Permit) -> None:
        """Do nothing."""

    def refused_message(self) -> str:
        """Like `refused_message`, without a credential."""
        return refused_message(self.server_url, "nothing")
