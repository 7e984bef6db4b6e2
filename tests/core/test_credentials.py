"""Who may send a credential, who waits, and who is told that it was refused.

The server is a fake here: these are states of time, which a real one cannot be asked to show.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import pickle
import subprocess
import sys
import threading
import time
import timeit
import traceback
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest
from pydantic import SecretStr

from xinference_bridge import credential_gate, credentials, key_gate
from xinference_bridge.credential_gate import CredentialGate, OpenGate, Permit
from xinference_bridge.credentials import gate_for, proves_credential, refused_message
from xinference_bridge.errors import (
    XinferenceAuthenticationError,
    XinferenceBannedError,
    XinferenceConfigurationError,
    XinferenceConnectionError,
    XinferenceError,
    XinferenceProtocolError,
    XinferenceRateLimitError,
    XinferenceServerError,
    XinferenceTimeoutError,
)
from xinference_bridge.key_gate import KeyGate
from xinference_bridge.login import LoginGate, expiry_of

URL = "http://127.0.0.1:9997"
KEY = "xf-correct-horse"
PASSWORD = "battery-staple"
PATIENCE = 5.0  # for what must not hang


@pytest.fixture(autouse=True)
def _no_gates():
    credentials.reset()
    yield
    credentials.reset()


class FakeClock:
    """Seconds that pass when the test says so."""

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


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> FakeServer:
    return FakeServer(clock)


@pytest.fixture
def login(server: FakeServer, clock: FakeClock) -> LoginGate:
    return LoginGate(URL, "u", SecretStr(PASSWORD), post=server.post, clock=clock, wall_clock=clock)


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
        assert all("does not know this API key (401)" in str(error) for error in told)

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
        with pytest.raises(XinferenceAuthenticationError, match=r"^unknown \[not sent again for 43 s\]$") as caught:
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
        assert len(failures) > 5
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
        clock.pass_(credential_gate.COOL_DOWN)
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
        refusals = credential_gate.ServerRefusals()
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
        with pytest.raises(XinferenceAuthenticationError, match="does not know this API key") as caught:
            gate.wait(PATIENCE)
        assert caught.value.body == '{"detail":"no"}'
        assert chat.rejected(unauthorized()) is False

    def test_takes_over_from_a_caller_who_never_settles_when_the_light_request_got_no_answer(self):
        def get(path: str, authorization: str | None):
            raise XinferenceConnectionError("reset", url=URL)

        gate = KeyGate(URL, KEY, get=get)
        stuck = enter(gate)
        assert gate.wait(PATIENCE) is not stuck

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


class TestALogin:
    def test_is_made_once_for_200_tasks_on_two_loops_and_40_threads(self, server: FakeServer, login: LoginGate):
        server.takes = 0.05

        async def calls() -> list[Permit]:
            return await asyncio.gather(*[login.await_permit(PATIENCE) for _ in range(100)])

        with ThreadPoolExecutor(42) as pool:
            loops = [pool.submit(asyncio.run, calls()) for _ in range(2)]
            threads = [pool.submit(login.wait, PATIENCE) for _ in range(40)]
            permits = [p for f in loops for p in f.result(PATIENCE)] + [f.result(PATIENCE) for f in threads]
        assert server.asked == ["/token"]
        assert len(permits) == 240
        assert len(set(permits)) == 1
        assert str(permits[0].authorization).startswith("Bearer head.")

    def test_is_renewed_ahead_of_expiry_while_callers_go_on(
        self, server: FakeServer, login: LoginGate, clock: FakeClock
    ):
        first = login.wait(PATIENCE)
        clock.pass_(1800 - 121)
        assert login.enter() is first
        assert server.asked == ["/token"]
        server.takes = 0.05
        clock.pass_(2)
        assert [login.enter() is first for _ in range(50)] == [True] * 50
        eventually(lambda: login.enter() is not first)
        assert server.asked == ["/token", "/v1/auth/refresh"]

    def test_is_renewed_once_for_200_tasks_on_two_loops_whose_token_has_expired(
        self, server: FakeServer, login: LoginGate, clock: FakeClock
    ):
        old = login.wait(PATIENCE)
        clock.pass_(1800)
        server.takes = 0.05

        async def calls() -> list[Permit]:
            return await asyncio.gather(*[login.await_permit(PATIENCE) for _ in range(100)])

        with ThreadPoolExecutor(2) as pool:
            permits = [p for f in [pool.submit(asyncio.run, calls()) for _ in range(2)] for p in f.result(PATIENCE)]
        assert server.asked == ["/token", "/v1/auth/refresh"]
        assert len(permits) == 200
        assert set(permits) == {login.enter()}
        assert permits[0].authorization != old.authorization

    def test_spends_each_refresh_token_once(self, server: FakeServer, login: LoginGate, clock: FakeClock):
        for _ in range(4):
            login.wait(PATIENCE)
            clock.pass_(1800)
        assert server.asked == ["/token"] + ["/v1/auth/refresh"] * 3
        assert server.refresh_tokens == {"refresh-4"}

    def test_is_made_anew_when_the_refresh_token_is_spent(self, server: FakeServer, login: LoginGate, clock: FakeClock):
        login.wait(PATIENCE)
        server.refresh_tokens.clear()
        clock.pass_(1800)
        assert login.wait(PATIENCE).authorization
        assert server.asked == ["/token", "/v1/auth/refresh", "/token"]

    def test_keeps_the_refresh_token_when_the_refresh_got_no_answer(
        self, server: FakeServer, login: LoginGate, clock: FakeClock
    ):
        login.wait(PATIENCE)
        clock.pass_(1800)
        server.down = True
        with pytest.raises(XinferenceConnectionError):
            login.wait(PATIENCE)
        server.down = False
        login.wait(PATIENCE)
        assert server.asked == ["/token"] + ["/v1/auth/refresh"] * 2

    def test_ahead_of_time_that_got_no_answer_disturbs_nobody_and_is_tried_again_after_a_pause(
        self, server: FakeServer, login: LoginGate, clock: FakeClock
    ):
        first = login.wait(PATIENCE)
        server.down = True
        clock.pass_(1800 - 60)
        assert login.enter() is first
        eventually(lambda: login._turn is None)
        assert [login.enter() is first for _ in range(50)] == [True] * 50
        assert server.asked == ["/token", "/v1/auth/refresh"]
        server.down = False
        clock.pass_(5)
        eventually(lambda: login.enter() is not first)
        assert server.asked == ["/token", "/v1/auth/refresh", "/v1/auth/refresh"]

    def test_that_is_refused_is_tried_once_by_64_threads_and_rests(
        self, server: FakeServer, login: LoginGate, clock: FakeClock
    ):
        server.password, server.takes = "another", 0.05
        barrier, told = threading.Barrier(64), []

        def call() -> None:
            barrier.wait(PATIENCE)
            for _ in range(5):
                with pytest.raises(XinferenceAuthenticationError, match="does not accept this username") as caught:
                    login.wait(PATIENCE)
                told.append(caught.value)

        with ThreadPoolExecutor(64) as pool:
            for future in [pool.submit(call) for _ in range(64)]:
                future.result(PATIENCE)
        assert server.asked == ["/token"]
        assert len(told) == 320
        server.password = PASSWORD
        clock.pass_(60)
        assert login.wait(PATIENCE).authorization

    def test_from_a_banned_address_is_not_tried_again(self, server: FakeServer, login: LoginGate):
        server.answer_instead = 429, b'{"detail":"Too many failed attempts. IP temporarily banned."}', {}
        for _ in range(3):
            with pytest.raises(XinferenceBannedError):
                login.wait(PATIENCE)
        assert server.asked == ["/token"]

    @pytest.mark.parametrize(
        ("status", "body", "kind", "retryable"),
        [
            (429, b'{"detail":"Rate limit reached"}', XinferenceRateLimitError, True),
            (500, b"Internal Server Error", XinferenceServerError, False),
            (503, b"", XinferenceServerError, True),
            (422, b'{"detail":[{"input":{"password":"battery-staple"}}]}', XinferenceProtocolError, False),
            (200, b"<html>", XinferenceProtocolError, False),
            (200, b'["battery-staple"]', XinferenceProtocolError, False),
            (200, b'{"access_token":null}', XinferenceProtocolError, False),
        ],
    )
    def test_that_fails_tells_those_who_wait_and_is_tried_anew_by_the_next(
        self,
        server: FakeServer,
        login: LoginGate,
        *,
        status: int,
        body: bytes,
        kind: type[XinferenceError],
        retryable: bool,
    ):
        server.answer_instead = status, body, {}
        with pytest.raises(kind) as caught:
            login.wait(PATIENCE)
        assert caught.value.retryable is retryable
        assert PASSWORD not in "".join(traceback.TracebackException.from_exception(caught.value).format())
        server.answer_instead = None
        assert login.wait(PATIENCE).authorization
        assert server.asked == ["/token", "/token"]

    @pytest.mark.parametrize("status", [404, 405])
    def test_at_a_server_without_authentication_sends_nothing(self, server: FakeServer, login: LoginGate, status: int):
        server.answer_instead = status, b'{"detail":"Not Found"}', {}
        assert login.wait(PATIENCE).authorization is None
        assert login.wait(PATIENCE).authorization is None
        assert server.asked == ["/token"]

    def test_counts_the_life_of_a_token_by_the_servers_clock(
        self, server: FakeServer, login: LoginGate, clock: FakeClock
    ):
        # The server's clock is an hour ahead: by ours alone the token would seem to live 90 minutes.
        login.wait(PATIENCE)
        assert login._token is not None
        assert login._token.expires_at == pytest.approx(clock() + 1800 - 5, abs=1)

    def test_renews_a_token_of_ten_seconds_every_eight(self, server: FakeServer, login: LoginGate, clock: FakeClock):
        server.life = 10
        login.wait(PATIENCE)
        assert login._token is not None
        assert login._token.renew_at == pytest.approx(clock() + 8, abs=0.01)
        assert login._token.expires_at == pytest.approx(clock() + 9.5, abs=0.01)

    def test_uses_a_token_of_unknown_life_until_it_is_refused(
        self, server: FakeServer, login: LoginGate, clock: FakeClock
    ):
        server.answer_instead = 200, b'{"access_token":"opaque"}', {}
        permit = login.wait(PATIENCE)
        permit.accepted()
        clock.pass_(1e6)
        assert login.enter() is permit
        server.answer_instead = 200, b'{"access_token":"second"}', {}
        assert permit.rejected(unauthorized()) is True
        assert login.wait(PATIENCE).authorization == "Bearer second"
        assert server.asked == ["/token", "/token"]

    def test_whose_own_token_seems_dead_on_arrival_makes_no_loop(self, server: FakeServer, login: LoginGate):
        server.life = -7200
        permit = login.wait(PATIENCE)
        assert login.enter() is permit
        assert server.asked == ["/token"]


class TestATokenThatIsRefused:
    def test_after_it_worked_is_replaced_once_for_all_who_hold_it(self, server: FakeServer, login: LoginGate):
        permit = login.wait(PATIENCE)
        permit.accepted()
        with ThreadPoolExecutor(32) as pool:
            assert all(pool.map(lambda _: permit.rejected(unauthorized()), range(32)))
            permits = set(pool.map(lambda _: login.wait(PATIENCE), range(32)))
        assert server.asked == ["/token", "/v1/auth/refresh"]
        assert len(permits) == 1
        assert permits != {permit}

    def test_late_does_not_touch_the_one_that_replaced_it(self, server: FakeServer, login: LoginGate):
        old = login.wait(PATIENCE)
        old.accepted()
        old.rejected(unauthorized())
        new = login.wait(PATIENCE)
        assert old.rejected(unauthorized()) is True
        assert login.enter() is new

    def test_before_it_ever_worked_is_a_refused_credential_and_makes_no_loop(
        self, server: FakeServer, login: LoginGate, clock: FakeClock
    ):
        permit = login.wait(PATIENCE)
        assert permit.rejected(unauthorized(permit.refused_message())) is False
        with pytest.raises(XinferenceAuthenticationError, match="refused the token that its own login gave out"):
            login.wait(PATIENCE)
        assert server.asked == ["/token"]
        clock.pass_(60)
        second = login.wait(PATIENCE)
        assert second.rejected(unauthorized()) is False
        clock.pass_(299)
        with pytest.raises(XinferenceAuthenticationError):
            login.enter()
        assert server.asked == ["/token", "/token"]


class TestTheGateOfACredential:
    def test_is_the_same_object_for_equal_arguments(self):
        first = gate_for(URL, KEY, None, None, post=unused_post)
        assert gate_for(URL, KEY, None, None, post=unused_post) is first
        assert gate_for(URL, "xf-other", None, None, post=unused_post) is not first
        assert gate_for("http://other:9997", KEY, None, None, post=unused_post) is not first
        login = gate_for(URL, None, "u", PASSWORD, post=unused_post)
        assert gate_for(URL, None, "u", PASSWORD, post=unused_post) is login
        assert gate_for(URL, None, "u", "another", post=unused_post) is not login
        assert gate_for(URL, None, "ub", "attery-staple", post=unused_post) is not login

    def test_prefers_the_key_to_user_and_password(self):
        both = gate_for(URL, KEY, "u", PASSWORD, post=unused_post)
        assert enter(both).authorization == f"Bearer {KEY}"
        assert both is gate_for(URL, KEY, None, None, post=unused_post)

    def test_needs_both_user_and_password(self):
        with pytest.raises(XinferenceConfigurationError, match="set password / XINFERENCE_PASSWORD"):
            gate_for(URL, None, "u", None, post=unused_post)
        with pytest.raises(XinferenceConfigurationError, match="set username / XINFERENCE_USERNAME"):
            gate_for(URL, None, None, PASSWORD, post=unused_post)

    def test_that_does_not_exist_lets_everybody_pass_whatever_the_server_says(self):
        gate = gate_for(URL, None, None, None, post=unused_post)
        permits = [enter(gate) for _ in range(3)]
        assert isinstance(gate, OpenGate)
        assert [permit.authorization for permit in permits] == [None] * 3
        assert "none was given. Set api_key" in permits[0].refused_message()
        assert permits[0].rejected(unauthorized()) is False
        permits[1].undecided()
        assert enter(gate).authorization is None

    def test_uses_the_post_of_the_latest_connection(self, server: FakeServer):
        gate_for(URL, None, "u", PASSWORD, post=unused_post)
        assert gate_for(URL, None, "u", PASSWORD, post=server.post).wait(PATIENCE).authorization
        assert server.asked == ["/token"]

    def test_is_one_of_a_bounded_number(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(credentials, "MOST_GATES", 10)
        for n in range(50):
            gate_for(URL, f"xf-{n}", None, None, post=unused_post)
        assert len(credentials._gates) == 10

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
    def test_keeps_its_verdict_in_a_forked_child_and_waits_for_nobody_of_the_parent(self):
        # A process of its own, for a fork of the test runner is a fork of its threads too.
        program = f"""
import os, sys, threading
from xinference_bridge import credentials
from xinference_bridge.credential_gate import Permit
from xinference_bridge.errors import XinferenceAuthenticationError
def gate(key): return credentials.gate_for({URL!r}, key, None, None, post=None)
proven, refused, pending = gate("a"), gate("b"), gate("c")
proven.enter().accepted()
refused.enter().rejected(XinferenceAuthenticationError("no"))
probe = pending.enter()
hold = threading.Event()
def hold_locks():
    with credentials._lock, pending._lock, proven._lock:
        hold.set(); threading.Event().wait(30)
threading.Thread(target=hold_locks, daemon=True).start()
hold.wait()
if os.fork() == 0:
    assert gate("a") is proven and proven.enter() is proven.enter()
    assert isinstance(pending.enter(), Permit)
    try: refused.enter()
    except XinferenceAuthenticationError: os._exit(7)
    os._exit(1)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
        done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False, capture_output=True)
        assert done.returncode == 7, done.stderr

    def test_of_a_login_leaves_the_single_use_refresh_token_to_the_parent(
        self, server: FakeServer, login: LoginGate, clock: FakeClock
    ):
        permit = login.wait(PATIENCE)
        login.renew_after_fork()
        assert login.enter() is permit
        clock.pass_(1800)
        login.wait(PATIENCE)
        assert server.asked == ["/token", "/token"]

    def test_keeps_no_process_from_ending(self):
        program = f"""
import time
from xinference_bridge import credentials
def post(*a): time.sleep(60)
credentials.gate_for({URL!r}, None, "u", "p", post=post).enter()
key = credentials.gate_for({URL!r}, "k", None, None, post=post, get=post)
probe = key.enter(); key.enter()
"""
        start = time.monotonic()
        subprocess.run([sys.executable, "-c", program], timeout=60, check=True)
        assert time.monotonic() - start < 20


class TestErrors:
    def test_are_copies_so_that_no_traceback_grows(self):
        gate = KeyGate(URL, KEY)
        original = unauthorized("unknown")
        enter(gate).rejected(original)
        caught = []
        for _ in range(20):
            with pytest.raises(XinferenceAuthenticationError) as info:
                gate.enter()
            caught.append(info.value)
        depths = {len(traceback.extract_tb(error.__traceback__)) for error in caught}
        assert len(set(map(id, [original, *caught]))) == 21
        assert len(depths) == 1
        assert str(original) == "unknown"
        assert len({str(pickle.loads(pickle.dumps(error))) for error in caught}) == 1

    def test_of_a_failed_login_are_copies_too(self, server: FakeServer, login: LoginGate):
        server.down, server.takes = True, 0.05
        errors = []

        def call() -> None:
            with pytest.raises(XinferenceConnectionError) as info:
                login.wait(PATIENCE)
            errors.append(info.value)

        with ThreadPoolExecutor(16) as pool:
            for future in [pool.submit(call) for _ in range(16)]:
                future.result(PATIENCE)
        assert len(set(map(id, errors))) == 16
        assert len({len(traceback.extract_tb(error.__traceback__)) for error in errors}) == 1

    def test_say_the_next_step(self):
        assert refused_message(URL, "key") == (
            "http://127.0.0.1:9997 does not know this API key (401). Check api_key / XINFERENCE_API_KEY; it is not "
            "sent again for 60 s, because ten such failures make the server ban this address for an hour."
        )


def printed_with_locals(error: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


class TestSecrets:
    def test_are_not_shown_by_what_prints_the_locals_of_a_401(self):
        gate = KeyGate(URL, KEY)

        def send() -> None:
            permit = gate.wait(PATIENCE)
            headers = {"Authorization": permit.authorization}
            error = unauthorized(permit.refused_message())
            permit.rejected(error)
            assert headers
            raise error

        for _ in range(2):  # the refused request, then the one that is told so
            with pytest.raises(XinferenceAuthenticationError) as caught:
                send()
            text = printed_with_locals(caught.value)
            assert "gate = KeyGate(" in text
            assert KEY not in text

    def test_are_not_shown_by_what_prints_the_locals_of_a_failed_login(self, clock: FakeClock):
        def post(path: str, body: dict[str, str], authorization: str | None):
            raw = json.dumps(body)
            try:
                write(raw)
            except OSError as error:
                raise XinferenceConnectionError(f"Cannot reach {URL}{path}.", url=URL) from error

        def write(raw: str) -> None:
            raise OSError(f"connection reset after {len(raw)} bytes")

        gate = LoginGate(URL, "u", SecretStr(PASSWORD), post=post, clock=clock)
        with pytest.raises(XinferenceConnectionError) as caught:
            gate.wait(PATIENCE)
        text = printed_with_locals(caught.value)
        assert "connection reset" in text
        assert PASSWORD not in text

    def test_are_not_shown_by_repr(self, server: FakeServer, login: LoginGate):
        key = gate_for(URL, KEY, None, None, post=unused_post)
        named = gate_for(URL, None, "u", PASSWORD, post=server.post)
        permit, token = enter(key), login.wait(PATIENCE)
        shown = repr([key, named, login, permit, token, vars(login), vars(key), credentials._gates])
        for secret in (KEY, PASSWORD, "head.", "refresh-1"):
            assert secret not in shown
        assert repr(permit) == "ProbePermit(authorization='**********')"

    def test_go_over_the_wire_as_they_are(self):
        permit = enter(KeyGate(URL, KEY))
        assert isinstance(permit.authorization, str)
        assert permit.authorization.encode("latin-1") == b"Bearer " + KEY.encode()
        assert json.dumps({"k": permit.authorization}) == '{"k": "Bearer xf-correct-horse"}'


@pytest.mark.parametrize("token", ["", "a.b.c", "a", "a.e30.c", "a.eyJleHAiOiJ4In0.c", "a.bnVsbA.c", "ü.ü.ü"])
def test_a_token_that_is_no_jwt_has_no_expiry(token: str):
    assert expiry_of(token) is None
