"""Every stream that any test has recorded, cut into reads at every byte: the same events, the same answer."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.core.asks import STREAMS, body_of, good
from tests.support.cassettes import ReadableYaml
from xinference_bridge.chat_stream import ChatAccumulator
from xinference_bridge.endpoints import DONE
from xinference_bridge.errors import XinferenceStreamError
from xinference_bridge.sse import SSEDecoder

CASSETTES = Path(__file__).parents[2] / "cassettes"
#: The parts that the streams are dealt out to, so that two processes share them.
PARTS = range(4)


@lru_cache
def every_stream() -> list[bytes]:
    """The recorded streams, one of those that differ by their ids and the time alone."""
    found = [body_of(good(name)) for name in STREAMS]
    for path in sorted(CASSETTES.rglob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        if "text/event-stream" in text:
            bodies = [entry["response"]["body"]["string"] for entry in ReadableYaml.deserialize(text)["interactions"]]
            found += [body.encode() for body in bodies if body.startswith(("data:", ":"))]
    return list({re.sub(rb'"(id|created)": ?("[^"]*"|\d+)', b"", stream): stream for stream in found}.values())


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


@pytest.mark.parametrize("part", PARTS)
def test_a_stream_cut_in_two_at_any_byte_gives_the_same_events(part: int):
    for stream in every_stream()[part :: len(PARTS)]:
        events = decode(stream)
        for offset in range(1, len(stream)):
            assert decode(stream[:offset], stream[offset:]) == events, (offset, stream)


def test_a_stream_that_comes_byte_by_byte_gives_the_same_answer():
    for stream in every_stream():
        events = decode(*(stream[i : i + 1] for i in range(len(stream))))
        assert answer(events) == answer(decode(stream)), stream
