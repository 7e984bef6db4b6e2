"""Every recorded stream, split into reads at every byte: the same events, the same answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.core.asks import STREAMS, body_of, good
from xinference_bridge.errors import XinferenceStreamError
from xinference_bridge.protocol.chat.accumulator import ChatAccumulator
from xinference_bridge.protocol.event_stream import DONE
from xinference_bridge.protocol.sse import SSEDecoder
from xinference_bridge.testing.readable_yaml import ReadableYaml

CASSETTES = Path(__file__).parents[2] / "cassettes"


@lru_cache
def every_stream() -> list[bytes]:
    """The recorded streams, one of those that differ by their ids and the time alone."""
    found = [body_of(good(name)) for name in STREAMS]
    for path in sorted(CASSETTES.rglob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        if "text/event-stream" in text:
            bodies = [entry["response"]["body"]["string"] for entry in ReadableYaml.deserialize(text)["interactions"]]
            found += [body.encode() for body in bodies if isinstance(body, str) and body.startswith(("data:", ":"))]
    return list({re.sub(rb'"(id|created)": ?("[^"]*"|\d+)', b"", stream): stream for stream in found}.values())


def blocks_of(stream: bytes) -> list[bytes]:
    """Its events, each with the empty line that ends it."""
    blocks = re.findall(rb".*?(?:\r\n\r\n|\n\n|\r\r)", stream, re.DOTALL)
    assert b"".join(blocks) == stream
    return blocks


def decode(*pieces: bytes) -> list[bytes]:
    decoder = SSEDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    decoder.close()
    assert not decoder.pending
    return events


def answer(events: list[bytes]) -> dict[str, Any]:
    """What the accumulator makes of the events: each delta, and the whole or the error that they end in."""
    chunks = [orjson.loads(event) for event in events if event != DONE]
    completion = any(chunk.get("object") == "text_completion" for chunk in chunks)
    accumulator = ChatAccumulator(tools=True, completion=completion)
    accumulator.done = DONE in events
    deltas = [accumulator.feed(chunk) for chunk in chunks if "error" not in chunk]
    try:
        return {"deltas": deltas, "end": accumulator.finish()}
    except XinferenceStreamError as error:
        return {"deltas": deltas, "error": str(error)}


@pytest.mark.slow
def test_there_are_streams_of_every_kind():
    everything = b"".join(every_stream())
    assert len(every_stream()) > 100
    for kind in (
        b"tool_calls",
        b"<tool_call>",
        b"reasoning_content",
        b"text_completion",
        b'"error"',
        b"usage",
        "你".encode(),
    ):
        assert kind in everything, kind


@pytest.mark.slow
def test_between_two_events_a_decoder_is_as_new():
    for stream in every_stream():
        assert [event for block in blocks_of(stream) for event in decode(block)] == decode(stream), stream


def pairs_of_each_shape() -> Iterator[tuple[bytes, bytes]]:
    """An event and the next, once for those that differ by words, numbers and ids alone."""
    seen = set()
    for stream in every_stream():
        blocks = blocks_of(stream)
        for block, after in zip(blocks, [*blocks[1:], b""], strict=True):
            shape = re.sub(rb"[A-Za-z0-9]+", b"a", block + after)
            if shape not in seen:
                seen.add(shape)
                yield block, after


@pytest.mark.slow
def test_a_stream_cut_in_two_at_any_byte_gives_the_same_events():
    # Each cut is tried on the event that it cuts and the next: the whole stream at each would take a minute.
    for block, after in pairs_of_each_shape():
        two = block + after
        events = decode(two)
        for offset in range(1, len(block) + 1):
            assert decode(two[:offset], two[offset:]) == events, (offset, two)


@pytest.mark.slow
def test_a_stream_that_comes_byte_by_byte_gives_the_same_answer():
    for stream in every_stream():
        events = decode(*(stream[i : i + 1] for i in range(len(stream))))
        assert answer(events) == answer(decode(stream)), stream
