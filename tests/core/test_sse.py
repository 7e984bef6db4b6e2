"""The decoder of server-sent events, with the standard's examples and arbitrary bytes."""

from __future__ import annotations

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xinference_bridge.errors import XinferenceProtocolError
from xinference_bridge.protocol.sse import SSEDecoder

# As Xinference writes a stream: a ping, three deltas, the end.
XINFERENCE = (
    b": ping - 2025-01-01 00:00:00+00:00\r\n\r\n"
    b'data: {"choices":[{"delta":{"content":null}}]}\r\n\r\n'
    b'data: {"choices":[{"delta":{"content":"\xe4\xbd\xa0\xe5\xa5\xbd\\n"}}]}\r\n\r\n'
    b'data: {"choices":[]}\r\n\r\n'
    b"data: [DONE]\r\n\r\n"
)
XINFERENCE_EVENTS = [
    b'{"choices":[{"delta":{"content":null}}]}',
    b'{"choices":[{"delta":{"content":"\xe4\xbd\xa0\xe5\xa5\xbd\\n"}}]}',
    b'{"choices":[]}',
    b"[DONE]",
]


def decode(*pieces: bytes) -> list[bytes]:
    decoder = SSEDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


def decode_slowly(stream: bytes) -> list[bytes]:
    """The standard's algorithm, a character at a time, to compare with."""
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    events: list[bytes] = []
    data: list[bytes] = []
    line = b""
    position = 0
    while position < len(stream):
        char = stream[position : position + 1]
        if char not in b"\r\n":
            line += char
            position += 1
            continue
        position += 2 if stream[position : position + 2] == b"\r\n" else 1
        name, colon, value = line.partition(b":")
        if not line:
            if data:
                events.append(b"\n".join(data))
            data = []
        elif name == b"data":
            data.append(value.removeprefix(b" ") if colon else b"")
        line = b""
    return events


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        pytest.param(b"data: YHOO\ndata: +2\ndata: 10\n\n", [b"YHOO\n+2\n10"], id="lines of one event are joined"),
        pytest.param(
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [b"first event", b"second event", b" third event"],
            id="comments and ids are passed over, one space is dropped",
        ),
        pytest.param(b"data\n\ndata\ndata\n\ndata:", [b"", b"\n"], id="empty data is data, the last is incomplete"),
        pytest.param(b"data:test\n\ndata: test\n\n", [b"test", b"test"], id="the space after the colon is optional"),
        pytest.param(b"event: add\ndata: 73857293\n\nevent: remove\n\n", [b"73857293"], id="no data, no event"),
        pytest.param(b"retry: 10\ndatas: x\n data: x\nDATA: x\n\n", [], id="other fields are ignored"),
    ],
)
def test_the_examples_of_the_standard(stream: bytes, events: list[bytes]) -> None:
    assert decode(stream) == events


def test_a_stream_of_xinference_is_read_cut_at_every_offset() -> None:
    assert decode(XINFERENCE) == XINFERENCE_EVENTS
    for offset in range(len(XINFERENCE) + 1):
        assert decode(XINFERENCE[:offset], XINFERENCE[offset:]) == XINFERENCE_EVENTS, offset
    assert decode(*(XINFERENCE[i : i + 1] for i in range(len(XINFERENCE)))) == XINFERENCE_EVENTS


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_lines_end_in_crlf_lf_or_cr_cut_at_every_offset(end: bytes) -> None:
    stream = b"\xef\xbb\xbfdata: a" + end + b"data: b" + end + end + b": ping" + end + end + b"data: c" + end + end
    for offset in range(len(stream) + 1):
        assert decode(stream[:offset], stream[offset:]) == [b"a\nb", b"c"], offset


def test_an_event_is_told_as_soon_as_its_blank_line_has_begun() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r\n\r") == [b"a"]
    assert decoder.feed(b"\ndata: b\r\n\r\n") == [b"b"]


def test_a_byte_order_mark_is_dropped_at_the_beginning_alone() -> None:
    assert decode(b"\xef", b"\xbb", b"\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n") == [b"a"]
    assert decode(b"\xef\xbbdata: a\n\n") == []


def test_separators_that_only_text_knows_do_not_end_a_line() -> None:
    payload = "a\u2028b\x0bc\x0cd\x85e\x1cf".encode()
    assert decode(b"data: " + payload + b"\n\n") == [payload]


def test_pending_tells_that_the_connection_was_cut_within_an_event() -> None:
    stream = b"data: {}\r\n\r\ndata: [DONE]\r\n\r\n"
    for offset in range(1, len(stream)):
        decoder = SSEDecoder()
        decoder.feed(stream[:offset])
        cut = not stream[:offset].endswith((b"\r\n\r", b"\r\n\r\n"))
        assert decoder.pending is cut, offset
        assert decoder.close() == []
        assert decoder.pending is cut, offset


def test_a_ping_leaves_nothing_pending() -> None:
    decoder = SSEDecoder()
    decoder.feed(b": ping - 2025-01-01 00:00:00+00:00\r\n")
    assert not decoder.pending


def test_nothing_is_pending_before_the_first_byte_or_after_a_whole_event() -> None:
    decoder = SSEDecoder()
    assert not decoder.pending
    decoder.feed(XINFERENCE)
    assert not decoder.pending
    decoder.close()
    assert not decoder.pending


@pytest.mark.parametrize("size", [1, 7, 4096, 100_000])
def test_an_event_without_end_is_refused_in_pieces_of_any_size(size: int) -> None:
    decoder = SSEDecoder(max_event_bytes=50_000)
    stream = b"data: " + b"x" * 60_000
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    with pytest.raises(XinferenceProtocolError, match="50000 bytes"):
        collections.deque(map(decoder.feed, [*pieces, b"\n\n"]), maxlen=0)


def test_data_lines_without_end_are_refused_too() -> None:
    decoder = SSEDecoder(max_event_bytes=1000)
    with pytest.raises(XinferenceProtocolError):
        collections.deque(map(decoder.feed, [b"data: xxxxxxxx\n"] * 1000), maxlen=0)


def test_many_events_may_be_longer_than_the_limit_together() -> None:
    decoder = SSEDecoder(max_event_bytes=100)
    assert len(decoder.feed(b"data: xxxxxxxx\r\n\r\n" * 1000)) == 1000
    for _ in range(1000):
        assert decoder.feed(b"data: xxxx") == []
        assert decoder.feed(b"xxxx\r\n\r\n") == [b"xxxxxxxx"]


@pytest.mark.slow
def test_a_long_line_in_small_pieces_is_joined_once() -> None:
    # 4 MB in pieces of 16 bytes: joined at each piece it would copy half a terabyte.
    decoder = SSEDecoder()
    piece = b"x" * 16
    decoder.feed(b"data: ")
    for _ in range(250_000):
        assert decoder.feed(piece) == []
    assert [len(event) for event in decoder.feed(b"\n\n")] == [4_000_000]


FRAGMENTS = st.sampled_from(
    [
        b"data:",
        b"data: ",
        b"data",
        b"\r",
        b"\n",
        b"\r\n",
        b"\n\n",
        b":",
        b" ",
        b"id: 1",
        b"{}",
        b"\xef\xbb\xbf",
        b"\xff",
    ]
)


@pytest.mark.slow
@given(st.lists(st.one_of(FRAGMENTS, st.binary(max_size=5)), max_size=40))
def test_any_bytes_in_any_pieces_give_what_the_standard_says(pieces: list[bytes]) -> None:
    stream = b"".join(pieces)
    expected = decode_slowly(stream)
    assert decode(*pieces) == expected
    assert decode(stream) == expected
