"""One gate for each credential in a process, its error messages, and that nothing shows a secret.

The server is a fake, because these tests depend on timing that a real server cannot reproduce.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from tests.core.credentials.fakes import (
    KEY,
    PASSWORD,
    PATIENCE,
    URL,
    FakeClock,
    FakeServer,
    enter,
    unauthorized,
    unused_post,
)
from xinference_bridge.client.auth import registry as gates
from xinference_bridge.client.auth.api_key import KeyGate
from xinference_bridge.client.auth.gate import OpenGate
from xinference_bridge.client.auth.login import LoginGate
from xinference_bridge.client.auth.refusals import refused_message
from xinference_bridge.client.auth.registry import gate_for
from xinference_bridge.errors import (
    XinferenceAuthenticationError,
    XinferenceConfigurationError,
    XinferenceConnectionError,
)


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
        monkeypatch.setattr(gates, "MOST_GATES", 10)
        for n in range(50):
            gate_for(URL, f"xf-{n}", None, None, post=unused_post)
        assert len(gates._gates) == 10

    @pytest.mark.slow
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
    def test_keeps_its_verdict_in_a_forked_child_and_waits_for_nobody_of_the_parent(self):
        # In a separate process, because a fork of the test runner would copy the locks that its threads hold.
        program = f"""
import os, sys, threading
os.environ["XDG_RUNTIME_DIR"] = "/dev/null"  # nothing is shared but by the fork
from xinference_bridge.client.auth import registry as gates
from xinference_bridge.client.auth.gate import Permit
from xinference_bridge.errors import XinferenceAuthenticationError
def gate(key): return gates.gate_for({URL!r}, key, None, None, post=None)
proven, refused, pending = gate("a"), gate("b"), gate("c")
proven.enter().accepted()
refused.enter().rejected(XinferenceAuthenticationError("no"))
probe = pending.enter()
hold = threading.Event()
def hold_locks():
    with gates._lock, pending._lock, proven._lock:
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

    @pytest.mark.slow
    def test_keeps_no_process_from_ending(self):
        program = f"""
import time
from xinference_bridge.client.auth import registry as gates
def post(*a): time.sleep(60)
gates.gate_for({URL!r}, None, "u", "p", post=post).enter()
key = gates.gate_for({URL!r}, "k", None, None, post=post, get=post)
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
            "http://127.0.0.1:9997 rejected this API key (401). Check api_key / XINFERENCE_API_KEY; it is not "
            "sent again for 60 s, because ten such failures make the server ban this IP address for an hour."
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

        for _ in range(2):  # the rejected request, then one during the cool-down
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
        shown = repr([key, named, login, permit, token, vars(login), vars(key), gates._gates])
        for secret in (KEY, PASSWORD, "head.", "refresh-1"):
            assert secret not in shown
        assert repr(permit) == "ProbePermit(authorization='**********')"

    def test_go_over_the_wire_as_they_are(self):
        permit = enter(KeyGate(URL, KEY))
        assert isinstance(permit.authorization, str)
        assert permit.authorization.encode("latin-1") == b"Bearer " + KEY.encode()
        assert json.dumps({"k": permit.authorization}) == '{"k": "Bearer xf-correct-horse"}'
