"""The processes of one user share rejected keys, so that together they do not trigger the server's ban."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading

import pytest
from pydantic import SecretStr

from tests.core.asks import MODES, ask, connection_to, recorded
from tests.core.credentials.fakes import KEY, PASSWORD, URL, FakeClock, FakeServer, unauthorized
from tests.support.fault_proxy import fault_server
from xinference_bridge import XinferenceAuthenticationError, XinferenceConnectionError
from xinference_bridge.client.auth import shared_refusals
from xinference_bridge.client.auth.api_key import KeyGate
from xinference_bridge.client.auth.gate import Permit
from xinference_bridge.client.auth.login import LoginGate
from xinference_bridge.client.auth.shared_refusals import SharedRefusals

USER = "ada"
#: The script of one process: it sends three requests, whatever the responses.
WORKER = """
import json, sys
from xinference_bridge import XinferenceConnection, XinferenceError
for _ in range(3):
    try:
        XinferenceConnection(sys.argv[1], max_retries=0, **json.loads(sys.argv[2])).models()
    except XinferenceError as error:
        print(type(error).__name__)
"""


def shared_by(tmp_path, clock: FakeClock) -> SharedRefusals:
    return SharedRefusals(URL, tmp_path, clock)


class TestTheFile:
    def test_lets_one_process_ask_and_the_others_wait(self, tmp_path):
        clock = FakeClock()
        first, second = shared_by(tmp_path, clock), shared_by(tmp_path, clock)
        name = first.name_of(KEY)
        assert second.name_of(KEY) == name
        assert first.begin(name).verdict == "go"
        assert second.begin(name).verdict == "wait"
        first.accepted(name)
        assert second.begin(name).verdict == "go"

    def test_tells_all_of_a_refusal_and_rests_longer_each_time(self, tmp_path):
        clock = FakeClock()
        first, second = shared_by(tmp_path, clock), shared_by(tmp_path, clock)
        name = first.name_of(KEY)
        rests = []
        for _ in range(7):
            assert first.begin(name).verdict == "go"
            rests.append(first.refused(name))
            assert second.begin(name).verdict == "resting"
            clock.pass_(rests[-1] + 1)
        assert rests == [60, 300, 600, 1200, 2400, 3600, 3600]

    def test_is_not_told_otherwise_by_a_late_answer_to_an_earlier_request(self, tmp_path):
        clock = FakeClock()
        shared = shared_by(tmp_path, clock)
        shared.refused("a")
        shared.accepted("a")
        assert shared.begin("a").verdict == "resting"
        clock.pass_(61)
        shared.accepted("a")
        assert shared.begin("a").verdict == "go"

    def test_counts_concurrent_refusals_as_one_step(self, tmp_path):
        shared = shared_by(tmp_path, FakeClock())
        assert [shared.refused("a") for _ in range(5)] == [60] * 5

    def test_lets_the_others_go_when_a_first_request_takes_long(self, tmp_path):
        clock = FakeClock()
        shared = shared_by(tmp_path, clock)
        assert shared.begin("a").verdict == "go"
        clock.pass_(2.1)
        assert [shared.begin("a").verdict for _ in range(16)] == ["go"] * 16

    def test_stops_many_wrong_keys_before_the_tenth(self, tmp_path):
        clock = FakeClock()
        shared = shared_by(tmp_path, clock)
        verdicts = []
        for key in range(20):
            verdicts.append(shared.begin(str(key)).verdict)
            if verdicts[-1] == "go":
                shared.refused(str(key))
        assert verdicts == ["go"] * 8 + ["spent"] * 12
        clock.pass_(301)
        assert shared.begin("20").verdict == "go"

    def test_limits_the_keys_in_flight_to_those_that_may_be_refused(self, tmp_path):
        shared = shared_by(tmp_path, FakeClock())
        assert [shared.begin(str(key)).verdict for key in range(10)] == ["go"] * 8 + ["wait"] * 2

    def test_is_read_while_another_process_holds_it(self, tmp_path):
        shared, other = shared_by(tmp_path, FakeClock()), shared_by(tmp_path, FakeClock())
        other.refused("a")
        with other._state():
            assert shared.rest("a") == 60
        assert not shared.changed()

    def test_holds_no_key_and_is_the_users_alone(self, tmp_path):
        shared = shared_by(tmp_path, FakeClock())
        shared.begin(shared.name_of(KEY))
        shared.refused(shared.name_of(KEY))
        for file in tmp_path.iterdir():
            assert KEY.encode() not in file.read_bytes()
            if os.name != "nt":
                assert file.stat().st_mode & 0o077 == 0

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"refused":7,"keys":[]}', b"\xff", b"[" * 99999])
    def test_that_is_broken_counts_as_empty(self, tmp_path, content: bytes):
        shared = shared_by(tmp_path, FakeClock())
        shared.begin("a")
        next(path for path in tmp_path.iterdir() if path.name != "salt").write_bytes(content)
        assert shared.begin("a").verdict == "go"

    def test_that_cannot_be_kept_leaves_each_process_to_itself(self, tmp_path):
        (tmp_path / "file").write_text("")
        shared = SharedRefusals(URL, tmp_path / "file" / "below")
        assert shared.begin(shared.name_of(KEY)).verdict == "go"
        assert not shared.changed()


class TestAGate:
    def test_does_not_send_a_proven_key_that_another_process_saw_refused(self, tmp_path):
        clock = FakeClock()
        mine, other = shared_by(tmp_path, clock), shared_by(tmp_path, clock)
        gate = KeyGate(URL, KEY, clock=clock, shared=mine)
        gate.wait(1).accepted()
        assert isinstance(gate.enter(), Permit)
        other.refused(other.name_of(KEY))
        with pytest.raises(XinferenceAuthenticationError, match="Another process"):
            gate.enter()

    def test_does_not_send_it_from_an_event_loop_either(self, tmp_path, monkeypatch):
        monkeypatch.setattr(shared_refusals, "LOOK_EVERY", 0.0)
        mine, other = SharedRefusals(URL, tmp_path), SharedRefusals(URL, tmp_path)
        gate = KeyGate(URL, KEY, shared=mine)

        async def run() -> None:
            (await gate.await_permit(1)).accepted()
            await asyncio.sleep(0)
            other.refused(other.name_of(KEY))
            assert gate.enter_now() is None
            with pytest.raises(XinferenceAuthenticationError, match="Another process"):
                await gate.await_permit(1)

        asyncio.run(run())

    def test_stops_its_own_threads_before_it_writes(self, tmp_path, monkeypatch):
        shared = SharedRefusals(URL, tmp_path)
        gate = KeyGate(URL, KEY, shared=shared)
        gate.wait(1).accepted()
        permit = gate.wait(1)
        seen: list[object] = []
        monkeypatch.setattr(SharedRefusals, "refused", lambda *_: seen.append(gate._proven))
        permit.rejected(unauthorized())
        assert seen == [None]

    def test_waits_for_the_verdict_that_another_process_awaits(self, tmp_path):
        mine, other = SharedRefusals(URL, tmp_path), SharedRefusals(URL, tmp_path)
        name = other.name_of(KEY)
        assert other.begin(name).verdict == "go"
        gate = KeyGate(URL, KEY, shared=mine)
        assert not isinstance(gate.enter(), Permit)
        threading.Timer(0.05, other.refused, (name,)).start()
        with pytest.raises(XinferenceAuthenticationError, match="Another process"):
            gate.wait(5)

    def test_forgets_for_all(self, tmp_path):
        clock = FakeClock()
        mine, other = shared_by(tmp_path, clock), shared_by(tmp_path, clock)
        gate = KeyGate(URL, KEY, clock=clock, shared=mine)
        gate.wait(1).rejected(unauthorized())
        gate.forget()
        assert other.begin(other.name_of(KEY)).verdict == "go"


class TestALogin:
    def login(self, tmp_path, clock: FakeClock, server: FakeServer, password: str) -> LoginGate:
        shared = shared_by(tmp_path, clock)
        return LoginGate(URL, USER, SecretStr(password), post=server.post, clock=clock, shared=shared)

    def test_with_a_wrong_password_is_tried_by_one_process(self, tmp_path, clock: FakeClock, server: FakeServer):
        for words in (r"\(401\)\..*left\]$", "Another process"):
            with pytest.raises(XinferenceAuthenticationError, match=words):
                self.login(tmp_path, clock, server, "wrong").wait(5)
        assert server.asked == ["/token"]
        self.login(tmp_path, clock, server, PASSWORD).wait(5)
        clock.pass_(61)
        with pytest.raises(XinferenceAuthenticationError):
            self.login(tmp_path, clock, server, "wrong").wait(5)
        assert server.asked == ["/token"] * 3

    def test_does_not_use_up_the_refusals_of_keys(self, tmp_path, clock: FakeClock, server: FakeServer):
        for number in range(9):
            with pytest.raises(XinferenceAuthenticationError):
                self.login(tmp_path, clock, server, f"wrong {number}").wait(5)
        assert shared_by(tmp_path, clock).begin("a key").verdict == "go"

    def test_that_got_no_answer_is_made_by_the_next_process(self, tmp_path, clock: FakeClock, server: FakeServer):
        server.down = True
        with pytest.raises(XinferenceConnectionError):
            self.login(tmp_path, clock, server, PASSWORD).wait(5)
        server.down = False
        self.login(tmp_path, clock, server, PASSWORD).wait(5)

    def test_forgets_for_all(self, tmp_path, clock: FakeClock, server: FakeServer):
        gate = self.login(tmp_path, clock, server, "wrong")
        with pytest.raises(XinferenceAuthenticationError):
            gate.wait(5)
        server.password = "wrong"
        gate.forget()
        self.login(tmp_path, clock, server, "wrong").wait(5)


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_a_repeated_refusal_says_once_that_it_is_not_sent_again(mode: str):
    with fault_server() as server:
        server.on("/v1/embeddings", recorded("no_credential"))
        connection = connection_to(server, api_key=KEY)
        with pytest.raises(XinferenceAuthenticationError):
            ask(mode, connection, "embeddings")
        with pytest.raises(XinferenceAuthenticationError) as caught:
            ask(mode, connection, "embeddings")
        assert str(caught.value).count("not sent again") == 1
        assert "s left]" in str(caught.value)


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_a_key_that_rests_is_not_sent_in_either_mode(mode: str):
    with fault_server() as server:
        shared = SharedRefusals(server.url)
        shared.refused(shared.name_of(KEY))
        with pytest.raises(XinferenceAuthenticationError, match="Another process"):
            ask(mode, connection_to(server, api_key=KEY), "embeddings")
        assert server.requests == []


@pytest.mark.slow
@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("credential", "path"),
    [({"api_key": KEY}, "/v1/models"), ({"username": USER, "password": "wrong"}, "/token")],
    ids=["key", "login"],
)
def test_processes_with_one_wrong_credential_send_it_once(credential: dict[str, str], path: str):
    with fault_server() as server:
        server.on(path, recorded("no_credential"))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", WORKER, server.url, json.dumps(credential)]
        workers = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        said = [worker.communicate(timeout=60)[0].split() for worker in workers]
        assert said == [["XinferenceAuthenticationError"] * 3] * 3
        assert [seen.path for seen in server.requests] == [path]
