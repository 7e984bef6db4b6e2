"""A login: made on first use, refreshed before its token expires, repeated if the server no longer knows it.

The server is a fake, because these tests depend on timing that a real server cannot reproduce.
"""

from __future__ import annotations

import asyncio
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.core.credentials.fakes import (
    PASSWORD,
    PATIENCE,
    FakeClock,
    FakeServer,
    eventually,
    unauthorized,
)
from xinference_bridge.client.auth.gate import Permit
from xinference_bridge.client.auth.login import LoginGate, expiry_of
from xinference_bridge.errors import (
    XinferenceAuthenticationError,
    XinferenceBannedError,
    XinferenceConnectionError,
    XinferenceError,
    XinferenceProtocolError,
    XinferenceRateLimitError,
    XinferenceServerError,
)


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
                with pytest.raises(XinferenceAuthenticationError, match="rejected this username") as caught:
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
        with pytest.raises(XinferenceAuthenticationError, match="rejected a token that it had issued itself"):
            login.wait(PATIENCE)
        assert server.asked == ["/token"]
        clock.pass_(60)
        second = login.wait(PATIENCE)
        assert second.rejected(unauthorized()) is False
        clock.pass_(299)
        with pytest.raises(XinferenceAuthenticationError):
            login.enter()
        assert server.asked == ["/token", "/token"]


@pytest.mark.parametrize("token", ["", "a.b.c", "a", "a.e30.c", "a.eyJleHAiOiJ4In0.c", "a.bnVsbA.c", "ü.ü.ü"])
def test_a_token_that_is_no_jwt_has_no_expiry(token: str):
    assert expiry_of(token) is None
