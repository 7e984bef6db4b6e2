"""One gate for each credential: who may send it now, who waits for the verdict, who is told of the last refusal.

The server bans an address for an hour after ten wrong credentials, so a credential is sent once until the server has
answered, and not at all for a while after it was refused. `api_key` and `login` are the two kinds.
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
# 429 is answered before the credential is looked at (a ban); the others come from something in front of the server.
_PROVES_NOTHING = frozenset({UNAUTHORIZED, 407, 429, 502, 503, 504, *range(300, 400)})


def proves_credential(status: int) -> bool:
    """Whether an answer of this status shows that the server knows the credential that was sent."""
    return status not in _PROVES_NOTHING


class Turn(Future[None]):
    """A wait that ends for all at once; whoever waits gets a copy of the error of his own.

    It counts as running from the start, so that cancelling one who awaits it (by `wrap_future`, with or without
    `shield`) never cancels it for the others. Without `shield` is better: a shielded wrapper outlives its closed loop
    and makes `concurrent.futures` log "Event loop is closed".
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Same as `Future.exception`, as a copy of one's own."""
        error = super().exception(timeout)
        return None if error is None else copy_of(error)

    def result(self, timeout: float | None = None) -> None:
        """Same as `Future.result`, raising a copy of one's own."""
        error = self.exception(timeout)
        if error is not None:
            raise error

    def end(self, error: BaseException | None = None) -> None:
        """Everybody goes; ending twice is harmless."""
        with suppress(InvalidStateError):
            if error is None:
                self.set_result(None)
            else:
                self.set_exception(error)


class Permit:
    """Leave to send now, with this `Authorization` header value (None: without one).

    Settle it by `accepted`, `rejected`, `undecided` or `answered`; the first counts, the others are harmless, so
    `finally: permit.undecided()` is right. One that is dropped unsettled counts as undecided.
    """

    __slots__ = ("_gate", "authorization")

    def __init__(self, gate: CredentialGate, authorization: Secret | None) -> None:
        self._gate = gate
        self.authorization: str | None = authorization

    def accepted(self) -> None:
        """The server knows the credential; those who wait for the verdict go."""
        self._gate.when_accepted(self)

    def rejected(self, error: XinferenceAuthenticationError) -> bool:
        """The server answered 401; True when the caller may try once more, with the credential of a new permit."""
        return self._gate.when_rejected(self, error)

    def undecided(self) -> None:
        """No answer came, or one that shows nothing about the credential; the next caller becomes the probe."""
        self._gate.when_undecided(self)

    def answered(self, status: int) -> None:
        """`accepted` or `undecided` by the status of an answer; a 401 is for `rejected`."""
        if proves_credential(status):
            self._gate.when_accepted(self)
        else:
            self._gate.when_undecided(self)

    def refused_message(self) -> str:
        """The message for the error of a 401 to this permit's request; ask before `rejected`."""
        return self._gate.refused_message()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(authorization={self.authorization!r})"


class CredentialGate(ABC):
    """One credential at one server, for all threads, tasks and loops of this process; get it by `gate_for`."""

    def __init__(self, server_url: str, refusals: ServerRefusals | None = None, clock: Clock = time.monotonic) -> None:
        self.server_url = server_url
        self._clock = clock
        self._lock = threading.Lock()
        self._refusal: Refusal | None = None
        self._refused_in_a_row = 0
        self._refusals = ServerRefusals() if refusals is None else refusals

    @abstractmethod
    def enter(self) -> Permit | Future[None]:
        """Leave to send now, or something to wait for before entering again.

        Raises a copy of the remembered XinferenceAuthenticationError while a refused credential rests.
        """

    @abstractmethod
    def when_accepted(self, permit: Permit) -> None:
        """For `Permit.accepted`."""

    @abstractmethod
    def when_rejected(self, permit: Permit, error: XinferenceAuthenticationError) -> bool:
        """For `Permit.rejected`."""

    @abstractmethod
    def when_undecided(self, permit: Permit) -> None:
        """For `Permit.undecided`."""

    @abstractmethod
    def refused_message(self) -> str:
        """For `Permit.refused_message`."""

    def enter_now(self) -> Permit | None:
        """Return leave to send where nothing is to be waited for, as nearly always; else None.

        Raises:
            XinferenceAuthenticationError: A refused credential rests.
        """
        if in_event_loop() and self.must_wait():
            return None
        turn = self.enter()
        return turn if isinstance(turn, Permit) else None

    def must_wait(self) -> bool:
        """Return whether entering may read a file, which a caller in an event loop leaves to a thread."""
        return False

    def wait(self, timeout: float | None) -> Permit:
        """Enter, wait as often as needed, and return the permit.

        Raises XinferenceTimeoutError after `timeout` seconds (None: no limit), the remembered refusal, or the
        error for which a login got no answer.
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
        """A remembered refusal ends now: the next caller sends the credential again."""
        with self._lock:
            self._refusal = None

    def renew_after_fork(self) -> None:
        """In a forked child: what is known stays known, requests in flight belong to the parent."""
        self._lock = threading.Lock()

    def cool_down(self) -> float:
        """Seconds for which the credential rests, or would after the next refusal."""
        refusal = self._refusal
        if refusal is None:
            return COOL_DOWN
        left = refusal.until - self._clock()
        return left if left > 0 else cool_down_after(self._refused_in_a_row + 1)

    def _refuse(self, error: XinferenceError) -> None:
        """Remember a refusal; called with the lock held."""
        remembered = copy_of(error)
        remembered.__cause__ = None  # its frames may hold the request
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
    """No credential was given: everybody passes, and a 401 is the caller's own; a missing credential bans nobody."""

    def __init__(self, server_url: str) -> None:
        super().__init__(server_url)
        self._permit = Permit(self, None)

    def enter(self) -> Permit | Future[None]:
        """Same as `CredentialGate.enter`: always a permit."""
        return self._permit

    def when_accepted(self, permit: Permit) -> None:
        """Nothing to remember."""

    def when_rejected(self, permit: Permit, error: XinferenceAuthenticationError) -> bool:  # noqa: ARG002
        """Nothing to remember, and nothing else to try."""
        return False

    def when_undecided(self, permit: Permit) -> None:
        """Nothing to remember."""

    def refused_message(self) -> str:
        """Same as `refused_message`, for no credential."""
        return refused_message(self.server_url, "nothing")
