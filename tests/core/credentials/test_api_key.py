"""An API key: who may send it, who waits for the first response, and who gets the rejection.

The server is a fake, because these tests depend on timing that a real server cannot reproduce.
"""

from __future__ import annotations

import asyncio
import gc
import time
import timeit
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.core.credentials.fakes import (
    KEY,
    PATIENCE,
    URL,
    FakeClock,
    enter,
    eventually,
    held,
    unauthorized,
)
from xinference_bridge.client.auth import api_key as key_gate
from xinference_bridge.client.auth.api_key import KeyGate
from xinference_bridge.client.auth.gate import Permit, proves_credential
from xinference_bridge.client.auth.refusals import COOL_DOWN, ServerRefusals
from xinference_bridge.errors import (
    XinferenceAuthenticationError,
    XinferenceConnectionError,
    XinferenceTimeoutError,
)


class TestAnApiKey:
    def test_is_sent_by_one_caller_until_the_server_has_answered(self):
        gate = KeyGate(URL, KEY)
        probe = enter(gate)
        turn = held(gate)
        assert probe.authorization == f"Bearer {KEY}"
        assert not turn.done()
        probe.accepted()
        assert turn.done()
        assert enter(gate) is enter(gate)

    @pytest.mark.slow
    def test_that_is_wrong_is_sent_once_by_64_threads_of_5_calls(self):
        gate, sent, told = KeyGate(URL, "xf-wrong"), [], []

        def call() -> None:
            try:
                permit = gate.wait(PATIENCE)
            except XinferenceAuthenticationError as error:
                told.append(error)
                return
            sent.append(permit.authorization)
            time.sleep(0.05)
            refused = unauthorized(permit.refused_message())
            assert permit.rejected(refused) is False
            told.append(refused)

        def calls() -> None:
            for _ in range(5):
                call()

        with ThreadPoolExecutor(64) as pool:
            for future in [pool.submit(calls) for _ in range(64)]:
                future.result(PATIENCE)
        assert len(sent) == 1
        assert len(told) == 320
        assert len(set(map(id, told))) == 320
        assert all("rejected this API key (401)" in str(error) for error in told)

    def test_that_is_wrong_is_sent_once_by_200_tasks_on_two_loops(self):
        gate, sent, told = KeyGate(URL, "xf-wrong"), [], []

        async def call() -> None:
            try:
                permit = await gate.await_permit(PATIENCE)
            except XinferenceAuthenticationError as error:
                told.append(error)
                return
            sent.append(permit)
            await asyncio.sleep(0.05)
            permit.rejected(unauthorized())

        async def calls() -> None:
            await asyncio.gather(*[call() for _ in range(100)])

        with ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(asyncio.run, calls()) for _ in range(2)]:
                future.result(PATIENCE)
        assert len(sent) == 1
        assert len(told) == 199

    def test_that_was_refused_rests_60_s_and_is_then_probed_by_one(self, clock: FakeClock):
        gate = KeyGate(URL, KEY, clock=clock)
        enter(gate).rejected(unauthorized("unknown"))
        clock.pass_(17)
        with pytest.raises(XinferenceAuthenticationError, match=r"^unknown\. \[.*; 43 s left\]$") as caught:
            gate.enter()
        assert caught.value.status_code == 401
        clock.pass_(43)
        probe = enter(gate)
        assert not held(gate).done()
        probe.accepted()
        assert enter(gate).authorization == f"Bearer {KEY}"

    def test_adds_at_most_two_failures_to_any_300_s_so_that_four_processes_cause_no_ban(self, clock: FakeClock):
        gate, failures = KeyGate(URL, KEY, clock=clock), []
        for _ in range(3600):
            try:
                enter(gate).rejected(unauthorized())
                failures.append(clock())
            except XinferenceAuthenticationError:
                pass
            clock.pass_(1)
        assert len(failures) == 5  # after 60, 300, 600 and 1200 s
        assert max(sum(1 for t in failures if start <= t < start + 300) for start in failures) == 2

    def test_that_was_proven_and_is_revoked_rests_from_then_on(self):
        gate = KeyGate(URL, KEY)
        enter(gate).accepted()
        in_flight = [enter(gate) for _ in range(3)]
        assert not in_flight[0].rejected(unauthorized("revoked"))
        assert not in_flight[1].rejected(unauthorized("second"))
        in_flight[2].accepted()
        with pytest.raises(XinferenceAuthenticationError, match="revoked"):
            gate.enter()

    def test_that_works_again_is_not_refused_by_a_late_answer_of_before(self, clock: FakeClock):
        gate = KeyGate(URL, KEY, clock=clock)
        enter(gate).accepted()
        first, late = enter(gate), enter(gate)
        first.rejected(unauthorized())
        clock.pass_(COOL_DOWN)
        enter(gate).accepted()
        late.rejected(unauthorized())
        assert enter(gate).authorization

    def test_that_was_mended_at_the_server_can_be_sent_at_once_when_told_so(self):
        gate = KeyGate(URL, KEY)
        enter(gate).rejected(unauthorized())
        gate.forget()
        assert enter(gate).authorization

    def test_without_a_verdict_passes_the_probe_to_the_next_who_waits(self):
        gate = KeyGate(URL, KEY)
        probe = enter(gate)
        turns = [held(gate) for _ in range(3)]
        probe.undecided()
        assert all(turn.done() for turn in turns)
        second = enter(gate)
        assert second is not probe
        assert not held(gate).done()
        second.undecided()

    def test_is_settled_once_and_whatever_follows_is_harmless(self):
        gate = KeyGate(URL, KEY)
        probe = enter(gate)
        probe.accepted()
        probe.undecided()
        assert probe.rejected(unauthorized()) is False
        assert enter(gate).authorization == f"Bearer {KEY}"

    @pytest.mark.parametrize(("status", "proves"), [(200, True), (404, True), (403, True), (500, True)])
    def test_is_proven_by_any_answer_that_comes_after_the_look_at_the_key(self, status: int, proves: bool):
        gate = KeyGate(URL, KEY)
        enter(gate).answered(status)
        assert proves_credential(status) is proves
        assert enter(gate) is enter(gate)

    @pytest.mark.parametrize("status", [429, 502, 503, 504, 302])
    def test_is_not_proven_by_a_ban_nor_by_a_proxy(self, status: int):
        gate = KeyGate(URL, KEY)
        enter(gate).answered(status)
        probe = enter(gate)
        assert not held(gate).done()
        probe.undecided()

    def test_costs_less_than_a_microsecond_once_it_is_proven(self):
        gate = KeyGate(URL, KEY)
        enter(gate).accepted()
        assert min(timeit.repeat(gate.enter, number=10_000, repeat=5)) / 10_000 < 1e-6

    def test_is_not_probed_when_eight_others_were_just_refused_by_this_server(self, clock: FakeClock):
        refusals = ServerRefusals()
        proven = KeyGate(URL, KEY, refusals=refusals, clock=clock)
        enter(proven).accepted()
        for n in range(8):
            enter(KeyGate(URL, f"xf-wrong-{n}", refusals=refusals, clock=clock)).rejected(unauthorized())
        ninth = KeyGate(URL, "xf-ninth", refusals=refusals, clock=clock)
        with pytest.raises(XinferenceAuthenticationError, match="refused 8 credentials"):
            ninth.enter()
        assert enter(proven).authorization == f"Bearer {KEY}"
        clock.pass_(300)
        assert enter(ninth).authorization == "Bearer xf-ninth"


class TestWhoWaitsForAProbe:
    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(key_gate, "PROBE_PATIENCE", 0.05)
        monkeypatch.setattr(key_gate, "LEADER_PATIENCE", 0.2)

    def test_goes_after_one_light_request_when_the_probe_is_a_long_chat(self):
        asked = []

        def get(path: str, authorization: str | None):
            asked.append((path, authorization))
            return 200, b"{}", {}

        gate = KeyGate(URL, KEY, get=get)
        chat = enter(gate)
        with ThreadPoolExecutor(16) as pool:
            permits = list(pool.map(lambda _: gate.wait(PATIENCE), range(16)))
        assert asked == [("/v1/models", f"Bearer {KEY}")]
        assert len(set(permits)) == 1
        chat.accepted()
        assert enter(gate) is permits[0]

    def test_is_told_the_refusal_of_the_light_request(self):
        gate = KeyGate(URL, KEY, get=lambda path, authorization: (401, b'{"detail":"no"}', {}))
        chat = enter(gate)
        with pytest.raises(XinferenceAuthenticationError, match="rejected this API key") as caught:
            gate.wait(PATIENCE)
        assert caught.value.body == "no"
        assert chat.rejected(unauthorized()) is False

    @pytest.mark.slow
    def test_takes_over_from_a_caller_who_never_settles_when_the_light_request_got_no_answer(self):
        def get(path: str, authorization: str | None):
            raise XinferenceConnectionError("reset", url=URL)

        gate = KeyGate(URL, KEY, get=get)
        stuck = enter(gate)
        assert gate.wait(PATIENCE) is not stuck

    @pytest.mark.slow
    def test_takes_over_at_once_from_a_permit_that_was_dropped(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(key_gate, "PROBE_PATIENCE", 60.0)
        gate = KeyGate(URL, KEY)
        probe = enter(gate)
        with ThreadPoolExecutor(1) as pool:
            waiter = pool.submit(gate.wait, PATIENCE)
            eventually(lambda: gate._probe is not None and gate._probe.watched)
            del probe
            gc.collect()
            assert waiter.result(PATIENCE).authorization == f"Bearer {KEY}"

    def test_finds_no_leader_when_a_permit_was_dropped_before(self):
        gate = KeyGate(URL, KEY)
        enter(gate)
        assert enter(gate).authorization == f"Bearer {KEY}"

    def test_waits_no_longer_than_he_wants(self):
        gate = KeyGate(URL, KEY)
        probe = enter(gate)
        with pytest.raises(XinferenceTimeoutError, match=r"within 0\.01 s"):
            gate.wait(0.01)
        with pytest.raises(XinferenceTimeoutError, match=r"within 0\.01 s"):
            asyncio.run(gate.await_permit(0.01))
        probe.accepted()

    def test_may_be_cancelled_without_cancelling_the_others(self):
        gate = KeyGate(URL, KEY)

        async def main() -> None:
            probe = enter(gate)
            first, second = (asyncio.ensure_future(gate.await_permit(PATIENCE)) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert not second.done()
            probe.accepted()
            assert (await second).authorization == f"Bearer {KEY}"

        asyncio.run(main())

    def test_leaves_nothing_behind_when_his_loop_is_closed_before_the_verdict(self, caplog: pytest.LogCaptureFixture):
        gate = KeyGate(URL, KEY)
        probe = enter(gate)

        async def give_up() -> None:
            task = asyncio.ensure_future(gate.await_permit(PATIENCE))
            await asyncio.sleep(0)
            assert not task.done()

        asyncio.run(give_up())
        probe.accepted()
        assert caplog.records == []

    def test_in_sync_code_on_the_loop_of_an_async_probe_is_freed_by_the_light_request(self):
        gate = KeyGate(URL, KEY, get=lambda path, authorization: (200, b"{}", {}))

        async def main() -> Permit:
            probe = enter(gate)
            permit = gate.wait(PATIENCE)  # blocks the very loop on which the probe would be settled
            probe.accepted()
            return permit

        assert asyncio.run(main()).authorization == f"Bearer {KEY}"
