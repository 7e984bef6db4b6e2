"""Failing connections: refused, unknown host, reset, stalled, truncated. Every kind of call, sync and async.

Each row of the matrix ends in the right typed error and in good time; nothing is lost, nothing made up.
"""

from __future__ import annotations

import time

import pytest

from tests.core.asks import ASKS, MODES, PATHS, Streamed, ask, check_good, connection_to, good, head_of, text_of
from tests.support.fault_proxy import CLOSE, RESET, STALL, FaultServer, unused_port
from xinference_bridge import (
    XinferenceConnectionError,
    XinferenceProtocolError,
    XinferenceStreamError,
    XinferenceTimeoutError,
)
from xinference_bridge.connection_settings import CallOptions

pytestmark = [
    pytest.mark.fault_server,
    pytest.mark.parametrize("mode", MODES),
    pytest.mark.parametrize("what", ASKS),
]
SHORT = CallOptions(timeout=0.1)
WHOLE = ("chat", "embeddings", "rerank")


def test_a_healthy_server_answers(server: FaultServer, mode: str, what: str):
    server.on(PATHS[what], good(what))
    check_good(what, ask(mode, connection_to(server), what))


def test_refused_says_where_and_what_to_look_at(mode: str, what: str):
    url = f"http://127.0.0.1:{unused_port()}"
    with pytest.raises(XinferenceConnectionError, match="Check that it is running") as caught:
        ask(mode, connection_to(url), what)
    assert url in str(caught.value)
    assert str(caught.value.url).startswith(url)
    assert caught.value.__cause__ is not None


def test_an_unknown_host_says_which(mode: str, what: str):
    with pytest.raises(XinferenceConnectionError, match=r"Cannot reach .*http://nowhere\.invalid:9997"):
        ask(mode, connection_to("http://nowhere.invalid:9997"), what)


@pytest.mark.parametrize("ending", [RESET, CLOSE])
def test_hung_up_before_the_headers(server: FaultServer, mode: str, what: str, ending):
    server.on(PATHS[what], (ending,))
    with pytest.raises(XinferenceConnectionError, match="before it answered") as caught:
        ask(mode, connection_to(server), what)
    assert caught.value.request_id == server.seen(PATHS[what])[0].headers["x-request-id"]


@pytest.mark.parametrize("ending", [RESET, CLOSE])
def test_hung_up_before_the_headers_is_tried_again(server: FaultServer, mode: str, what: str, ending):
    server.on(PATHS[what], (ending,), good(what))
    check_good(what, ask(mode, connection_to(server, max_retries=1), what))


@pytest.mark.slow
@pytest.mark.parametrize(("length", "ending"), [(5, CLOSE), (22, CLOSE), (40, RESET), (80, CLOSE)])
def test_hung_up_amid_the_headers(server: FaultServer, mode: str, what: str, length: int, ending):
    server.on(PATHS[what], (good(what)[:length], 0.02, ending))
    with pytest.raises(XinferenceConnectionError):
        ask(mode, connection_to(server), what)


@pytest.mark.slow
def test_silence_before_the_headers_ends_at_the_timeout(server: FaultServer, mode: str, what: str):
    server.on(PATHS[what], (STALL,))
    began = time.monotonic()
    with pytest.raises(XinferenceTimeoutError, match=r"sent nothing for 0\.1 s"):
        ask(mode, connection_to(server, max_retries=3), what, options=SHORT)
    assert time.monotonic() - began < 5
    assert len(server.seen(PATHS[what])) == 1  # the server may still be working: the request is not repeated
    assert server.wait_for(lambda: len(server.hang_ups) == 1)


def test_a_response_that_is_not_http_is_named_and_not_retried(server: FaultServer, mode: str, what: str):
    server.on(PATHS[what], (b"SSH-2.0-OpenSSH_9.6\r\n", CLOSE))
    with pytest.raises(XinferenceProtocolError, match="HTTP"):
        ask(mode, connection_to(server, max_retries=3), what)
    assert len(server.seen(PATHS[what])) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("share", "ending"), [(0.0, CLOSE), (0.5, RESET), (0.95, CLOSE)])
def test_hung_up_amid_the_body(server: FaultServer, mode: str, what: str, share: float, ending):
    answer = good(what)
    start = len(head_of(answer))
    cut = start + int((len(answer) - start) * share)
    server.on(PATHS[what], (answer[:cut], 0.02, ending))
    got = Streamed()
    with pytest.raises((XinferenceConnectionError, XinferenceStreamError)) as caught:
        ask(mode, connection_to(server, max_retries=3), what, got)
    assert len(server.seen(PATHS[what])) == 1  # the work was done: a retry would do it twice
    assert text_of(answer).startswith(got.text)
    if isinstance(caught.value, XinferenceStreamError):
        assert caught.value.partial_text == got.text
        assert caught.value.model_uid == "tiny-chat"
        assert caught.value.url == server.url + PATHS[what]
        assert caught.value.request_id


@pytest.mark.slow
def test_silence_amid_the_body_ends_at_the_timeout(server: FaultServer, mode: str, what: str):
    answer = good(what)
    server.on(PATHS[what], (answer[: len(head_of(answer)) + (len(answer) - len(head_of(answer))) // 2], STALL))
    got = Streamed()
    with pytest.raises((XinferenceTimeoutError, XinferenceStreamError), match=r"sent nothing for 0\.1 s") as caught:
        ask(mode, connection_to(server, max_retries=3), what, got, SHORT)
    if what not in WHOLE:
        assert isinstance(caught.value, XinferenceStreamError)
        assert isinstance(caught.value.__cause__, XinferenceTimeoutError)
        assert caught.value.partial_text == got.text != ""
    assert server.wait_for(lambda: len(server.hang_ups) == 1)


@pytest.mark.slow
def test_a_drip_of_bytes_ends_at_the_deadline(server: FaultServer, mode: str, what: str):
    answer = good(what)
    head, body = head_of(answer), answer[len(head_of(answer)) :]
    drops = tuple(step for at in range(40) for step in (body[at : at + 1], 0.05))
    server.on(PATHS[what], (head, *drops, STALL))
    began = time.monotonic()
    with pytest.raises((XinferenceTimeoutError, XinferenceStreamError), match=r"deadline of 0\.2 s"):
        ask(mode, connection_to(server), what, options=CallOptions(deadline=0.2))
    assert time.monotonic() - began < 1.5
