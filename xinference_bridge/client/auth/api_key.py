"""The gate of an API key: one probe first, then all callers; after a 401 none until the cool-down ends."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from xinference_bridge.client.auth.gate import UNAUTHORIZED, Clock, CredentialGate, Get, Permit, Turn, proves_credential
from xinference_bridge.client.auth.refusals import (
    MOST_REFUSALS,
    REFUSAL_WINDOW,
    REJECTED_ELSEWHERE,
    Refusal,
    ServerRefusals,
    refused_message,
)
from xinference_bridge.client.auth.shared_refusals import LOOK_AGAIN, SharedRefusals
from xinference_bridge.environment import in_event_loop
from xinference_bridge.errors import XinferenceAuthenticationError, XinferenceError
from xinference_bridge.protocol.error_responses import what_the_server_said
from xinference_bridge.redaction import Secret

if TYPE_CHECKING:
    from concurrent.futures import Future

# A chat may take a minute, a 401 comes immediately: waiting callers need not wait for a whole chat.
PROBE_PATIENCE = 1.0
# A probe that is neither settled nor dropped loses its turn if the light request got no answer either.
LEADER_PATIENCE = 60.0
LIGHT_PROBE_PATH = "/v1/models"


class Probe:
    """An unproven key in flight. It holds no reference to its permit, so that a dropped permit is noticed."""

    __slots__ = ("abandoned", "events", "settled", "turn", "watched")

    def __init__(self) -> None:
        self.turn = Turn()
        self.events: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.abandoned = self.settled = self.watched = False

    def nothing_within(self, seconds: float) -> bool:
        """Wait. Return False as soon as the turn has ended or the permit was dropped."""
        try:
            self.events.get(timeout=seconds)
        except queue.Empty:
            return True
        return False


class ProbePermit(Permit):
    """The permit of the caller that sends an unproven key."""

    __slots__ = ("probe",)

    def __init__(self, gate: CredentialGate, authorization: Secret, probe: Probe) -> None:
        super().__init__(gate, authorization)
        self.probe = probe

    def __del__(self) -> None:
        # Runs wherever the garbage collector runs, possibly inside the gate's own lock. It takes no lock, and
        # SimpleQueue.put is reentrant.
        if not self.probe.settled:
            self.probe.abandoned = True
            self.probe.events.put(None)


class KeyGate(CredentialGate):
    """The gate of an API key.

    If a caller waits longer than PROBE_PATIENCE for a slow probe, the gate sends one light request
    with `get`, on a daemon thread (without `get`, callers keep waiting). This also frees a sync caller that blocks the
    event loop on which the probe is awaited.
    """

    def __init__(
        self,
        server_url: str,
        api_key: str,
        *,
        get: Get | None = None,
        refusals: ServerRefusals | None = None,
        clock: Clock = time.monotonic,
        shared: SharedRefusals | None = None,
    ) -> None:
        super().__init__(server_url, refusals, clock)
        self.get = get
        self._shared = shared
        self._api_key = Secret(api_key)
        self._other_process: Turn | None = None
        self._authorization = Secret("Bearer " + api_key)
        self._proven: Permit | None = None
        self._probe: Probe | None = None

    def enter(self) -> Permit | Future[None]:
        """Like `CredentialGate.enter`, without a lock for a proven key."""
        proven = self._proven
        if proven is None:
            return self._enter_unproven()
        if self._shared is not None and not in_event_loop() and self._shared.changed():
            self._learn_from_other_processes(self._shared)
        return proven

    def must_wait(self) -> bool:
        """Like `CredentialGate.must_wait`: the file of other processes' rejections may have to be read."""
        return self._shared is not None and (self._proven is None or self._shared.is_due())

    @cached_property
    def _name(self) -> str:
        return "" if self._shared is None else self._shared.name_of(self._api_key)

    def _tell(self, tell: Callable[[SharedRefusals, str], object]) -> None:
        """Write the verdict on the key, outside a running event loop because the file may be locked."""
        shared = self._shared
        if shared is None:
            return
        if in_event_loop():
            with suppress(RuntimeError):  # no thread available: other processes find out for themselves
                threading.Thread(target=lambda: tell(shared, self._name), name="xinference-shared").start()
        else:
            tell(shared, self._name)

    def _learn_from_other_processes(self, shared: SharedRefusals) -> None:
        """Raise if another process has just had this key rejected.

        Raises:
            XinferenceAuthenticationError: The key is in its cool-down.
        """
        rest = shared.rest(self._name)
        if rest:
            with self._lock:
                self._fail(self._refused_elsewhere(rest))
                self._raise_while_resting(self._clock())

    def _refused_elsewhere(self, rest: float) -> XinferenceAuthenticationError:
        message = refused_message(self.server_url, "key", rest) + REJECTED_ELSEWHERE
        return XinferenceAuthenticationError(message, url=self.server_url, status_code=UNAUTHORIZED)

    def _wait_for_other_processes(self, shared: SharedRefusals) -> Turn | None:
        """Return what to wait for while another process sends the same key for the first time. Requires the lock.

        Raises:
            XinferenceAuthenticationError: The key is in its cool-down, or too many keys were rejected.
        """
        turn = self._other_process
        if turn is not None and not turn.done():
            return turn
        leave = shared.begin(self._name)
        if leave.verdict == "resting":
            self._fail(self._refused_elsewhere(leave.seconds))
            if self._refusal is not None:
                self._refusal = Refusal(self._refusal.error, self._clock() + leave.seconds)
            self._raise_while_resting(self._clock())
        if leave.verdict == "spent":
            raise self._spent(leave.seconds)
        if leave.verdict == "go":
            return None
        turn = self._other_process = Turn()
        try:
            threading.Thread(target=self._look_again, args=(turn,), name="xinference-verdict", daemon=True).start()
        except RuntimeError:  # no thread available: sent without waiting
            turn.end()
            return None
        return turn

    def _look_again(self, turn: Turn) -> None:
        time.sleep(LOOK_AGAIN)
        turn.end()

    def _enter_unproven(self) -> Permit | Future[None]:
        with self._lock:
            if self._proven is not None:
                return self._proven
            now = self._clock()
            self._raise_while_resting(now)
            probe = self._probe
            if probe is None or probe.abandoned:
                self._raise_when_spent(now)
                if self._shared is not None and (turn := self._wait_for_other_processes(self._shared)) is not None:
                    return turn
                self._probe = Probe()
                if probe is not None:
                    probe.turn.end()
                return ProbePermit(self, self._authorization, self._probe)
            first_to_wait = not probe.watched
            probe.watched = True
        if first_to_wait:
            self._start_watching(probe)
        return probe.turn

    def _raise_when_spent(self, now: float) -> None:
        rest = self._refusals.rest(now)
        if rest:
            raise self._spent(rest)

    def _spent(self, rest: float) -> XinferenceAuthenticationError:
        return XinferenceAuthenticationError(
            f"{self.server_url} refused {MOST_REFUSALS} credentials of this user within {REFUSAL_WINDOW:.0f} s. This "
            f"one, not proven yet, is not sent for {math.ceil(rest)} s, because ten such failures make the server ban "
            "this address for an hour.",
            url=self.server_url,
        )

    def when_accepted(self, permit: Permit) -> None:
        """Like `Permit.accepted`."""
        if not isinstance(permit, ProbePermit) or permit.probe.settled:
            return
        probe = permit.probe
        with self._lock:
            probe.settled = True
            if self._probe is probe:
                self._prove()
        self._tell(SharedRefusals.accepted)
        probe.turn.end()

    def when_rejected(self, permit: Permit, error: XinferenceAuthenticationError) -> bool:
        """Like `Permit.rejected`. Returns False, because there is no other key to try."""
        probe = permit.probe if isinstance(permit, ProbePermit) else None
        with self._lock:
            if probe is not None:
                if probe.settled:
                    return False
                probe.settled = True
            self._refusals.add(self._clock())
            # A late 401 to a permit older than the current proof says nothing about the current state.
            if self._proven is permit or (probe is not None and (self._probe is probe or self._proven is not None)):
                self._fail(error)
        # After the threads of this process were stopped: writing may wait for another process.
        self._tell(SharedRefusals.refused)
        if probe is not None:
            probe.turn.end()
        return False

    def when_undecided(self, permit: Permit) -> None:
        """Like `Permit.undecided`."""
        if isinstance(permit, ProbePermit) and not permit.probe.settled:
            self._give_up(permit.probe)

    def refused_message(self) -> str:
        """Like `refused_message`, for this key."""
        return refused_message(self.server_url, "key", self.cool_down())

    def renew_after_fork(self) -> None:
        """Like `CredentialGate.renew_after_fork`. A proven key stays proven, a rejected one rejected."""
        super().renew_after_fork()
        self._probe = self._other_process = None

    def _prove(self) -> None:
        self._proven = Permit(self, self._authorization)
        self._probe = self._refusal = None

    def forget(self) -> None:
        """Like `CredentialGate.forget`, also for the user's other processes."""
        super().forget()
        self._tell(SharedRefusals.forget)

    def _fail(self, error: XinferenceAuthenticationError) -> None:
        self._refuse(error)
        self._proven = self._probe = None

    def _give_up(self, probe: Probe) -> None:
        with self._lock:
            probe.settled = True
            if self._probe is probe:
                self._probe = None
        self._tell(SharedRefusals.undecided)
        probe.turn.end()

    def _start_watching(self, probe: Probe) -> None:
        probe.turn.add_done_callback(lambda _: probe.events.put(None))
        with suppress(RuntimeError):  # no thread available: the callers' own timeouts limit the wait
            threading.Thread(target=self._watch, args=(probe,), name="xinference-probe", daemon=True).start()

    def _watch(self, probe: Probe) -> None:
        """Keep callers from waiting forever: on a long request, a dropped permit or a stuck caller."""
        if probe.nothing_within(PROBE_PATIENCE):
            self._probe_lightly(probe)
            probe.nothing_within(LEADER_PATIENCE)
        if not probe.turn.done():
            self._give_up(probe)

    def _probe_lightly(self, probe: Probe) -> None:
        if self.get is None:
            return
        try:
            status, body, _ = self.get(LIGHT_PROBE_PATH, self._authorization)
        except XinferenceError:  # no answer proves nothing; the probe is still in flight
            return
        with self._lock:
            if self._probe is not probe:
                return
            if status == UNAUTHORIZED:
                self._refusals.add(self._clock())
                self._tell(SharedRefusals.refused)
                self._fail(
                    XinferenceAuthenticationError(
                        self.refused_message(),
                        url=self.server_url + LIGHT_PROBE_PATH,
                        status_code=status,
                        body=what_the_server_said(body),
                    )
                )
            elif proves_credential(status):
                self._prove()
                self._tell(SharedRefusals.accepted)
            else:
                return
        probe.turn.end()
