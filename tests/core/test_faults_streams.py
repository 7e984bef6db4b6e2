"""Streams that break off, stall, end early, or contain an error after some text. Sync and async.

Whoever reads gets every piece that came, once, and then the whole or an error that holds the text so far.
"""

from __future__ import annotations

import pytest

from tests.core.asks import MODES, PATHS, STREAMS, Streamed, ask, check_good, connection_to, events_of, good, head_of
from tests.support.fault_proxy import CLOSE, RESET, STALL, FaultServer, chunk
from xinference_bridge import XinferenceStreamError

pytestmark = [
    pytest.mark.fault_server,
    pytest.mark.parametrize("mode", MODES),
    pytest.mark.parametrize("what", STREAMS),
]


def test_reset_after_each_event(server: FaultServer, mode: str, what: str):
    events = events_of(good(what))
    for count in range(1, len(events) - 2):
        server.on(PATHS[what], (head_of(good(what)), *events[:count], 0.02, RESET))
        got = Streamed()
        with pytest.raises(XinferenceStreamError) as caught:
            ask(mode, connection_to(server, max_retries=3), what, got)
        assert caught.value.partial_text == got.text


def test_a_stream_that_ends_without_an_end_is_told(server: FaultServer, mode: str, what: str):
    events = events_of(good(what))
    server.on(PATHS[what], (head_of(good(what)), *events[:3], b"0\r\n\r\n"))
    got = Streamed()
    with pytest.raises(XinferenceStreamError, match="ended before") as caught:
        ask(mode, connection_to(server), what, got)
    assert caught.value.partial_text == got.text != ""
    assert caught.value.model_uid == "tiny-chat"
    assert caught.value.request_id


def test_without_done_a_finished_answer_is_whole(server: FaultServer, mode: str, what: str):
    events = [event for event in events_of(good(what)) if b"[DONE]" not in event]
    server.on(PATHS[what], (head_of(good(what)), *events, b"0\r\n\r\n"))
    check_good(what, ask(mode, connection_to(server), what))


@pytest.mark.slow
@pytest.mark.parametrize("ending", [RESET, CLOSE, STALL])
def test_anything_after_done_is_ignored(server: FaultServer, mode: str, what: str, ending):
    events = events_of(good(what))
    if b"[DONE]" not in events[-1]:
        events.append(chunk(b"data: [DONE]\r\n\r\n"))
    server.on(PATHS[what], (head_of(good(what)), *events, 0.01, ending))
    check_good(what, ask(mode, connection_to(server), what))


def test_an_error_event_beside_text_in_one_chunk_keeps_the_text(server: FaultServer, mode: str, what: str):
    events = events_of(good(what))
    text = b"".join(piece.split(b"\r\n", 1)[1][:-2] for piece in events[:2])
    server.on(
        PATHS[what], (head_of(good(what)), chunk(text + b'data: {"error": "out of memory"}\r\n\r\n'), b"0\r\n\r\n")
    )
    got = Streamed()
    with pytest.raises(XinferenceStreamError, match="out of memory") as caught:
        ask(mode, connection_to(server, max_retries=2), what, got)
    assert caught.value.partial_text == got.text != ""
    assert len(server.seen(PATHS[what])) == 1


def test_pings_and_empty_events_pass(server: FaultServer, mode: str, what: str):
    events = [piece for event in events_of(good(what)) for piece in (chunk(b": ping - 2026\r\n\r\n"), event)]
    server.on(PATHS[what], (head_of(good(what)), *events, b"0\r\n\r\n"))
    check_good(what, ask(mode, connection_to(server), what))
