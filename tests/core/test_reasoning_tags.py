"""Reasoning between the tags of each family, against the server's own parser (`python -m lab.oracle`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.core.chunks import chunk, final, say
from xinference_bridge.protocol.chat.accumulator import ChatAccumulator, chat_result_from_wire
from xinference_bridge.protocol.chat.tags import HELD_CHARACTERS, Start, TagSplitter

ANSWERS = json.loads((Path(__file__).parent / "data" / "reasoning.json").read_text())["answers"]


def read(pieces: Any, family: str, start: Start) -> tuple[str, str]:
    splitter = TagSplitter(tools=False, start=start, family=family)
    told = [told for piece in pieces for told in splitter.feed(piece)] + splitter.close()
    return tuple("".join(str(piece) for kind, piece in told if kind == wanted) for wanted in ("reasoning", "text"))  # type: ignore[return-value]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer['family']}: {answer['id']}")
def test_reasoning_is_what_the_servers_parser_reads_however_the_answer_is_cut(answer: dict[str, Any]) -> None:
    text = answer["text"]
    start: Start = "opened" if answer["id"] == "without the opening tag" else "text"
    whole = read([text], answer["family"], start)
    if answer["id"] == "no thought":
        assert whole == ("", "Four.")  # the server takes it for reasoning, and leaves no answer
    else:
        assert [part.split() for part in whole] == [(answer[key] or "").split() for key in ("reasoning", "content")]
    assert read(text, answer["family"], start) == whole
    for place in range(1, len(text)):
        assert read([text[:place], text[place:]], answer["family"], start) == whole


@pytest.mark.parametrize("start", ["text", "opened", "undecided"])
def test_no_more_than_the_stated_number_of_characters_is_held_back(start: Start) -> None:
    splitter = TagSplitter(tools=False, start=start)
    told = 0
    for count in range(1, 3 * HELD_CHARACTERS):
        told += sum(len(str(piece)) for _, piece in splitter.feed("x"))
        assert count - told < HELD_CHARACTERS
    assert told


def test_a_null_beside_every_delta_says_that_it_is_the_answer() -> None:
    reader = ChatAccumulator(tools=False, start="opened")
    delta = reader.feed(chunk({"content": "Par", "reasoning_content": None}))
    assert delta is not None
    assert delta.text == "Par"


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_an_answer_that_the_server_took_for_reasoning_is_text_too_once_it_is_whole(reason: str) -> None:
    result = final([chunk({"reasoning_content": "Paris."}), chunk({}, reason)])
    assert (result.reasoning, result.text) == ("Paris.", "Paris." if reason == "stop" else "")


def test_an_answer_behind_an_opening_tag_that_the_server_wrote_is_text_too() -> None:
    streamed = final(say("<think>\n", "Paris."))
    message = {"choices": [{"index": 0, "message": {"content": "<think>\nParis."}, "finish_reason": "stop"}]}
    assert streamed.text == chat_result_from_wire(message, tools=False).text == "Paris."


def test_a_call_that_the_server_took_for_reasoning_is_called() -> None:
    written = '<tool_call>\n{"name": "add", "arguments": {}}\n</tool_call>'
    result = final([chunk({"reasoning_content": written}), chunk({}, "stop")], tools=True)
    assert [call.name for call in result.tool_calls] == ["add"]
    assert result.text == ""
