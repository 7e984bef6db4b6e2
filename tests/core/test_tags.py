"""Separates reasoning and tool calls from the text around them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xinference_bridge.protocol.chat.tags import Start, TagSplitter
from xinference_bridge.protocol.chat.tool_forms.written import WrittenCall

Read = tuple[str, str, list[str]]

CALL = '{"name": "add", "arguments": {"a": 1}}'
ADD = 'add({"a": 1})'
STARTS: tuple[Start, ...] = ("text", "reasoning", "opened", "undecided")


def read(*pieces: str, tools: bool = False, start: Start = "text") -> Read:
    """Text, reasoning and the tool calls of an answer that came in these pieces."""
    splitter = TagSplitter(tools=tools, start=start)
    told = [told for piece in pieces for told in splitter.feed(piece)] + splitter.close()
    assert all(piece for kind, piece in told if kind != "tool_call"), "an empty piece tells nothing"
    return (
        "".join(str(piece) for kind, piece in told if kind == "text"),
        "".join(str(piece) for kind, piece in told if kind == "reasoning"),
        [f"{piece.name}({piece.arguments})" for _, piece in told if isinstance(piece, WrittenCall)],
    )


CASES = [
    pytest.param("Paris.\n", {}, ("Paris.\n", "", []), id="text without tags is left alone, its last newline too"),
    pytest.param(" \n Paris.", {}, (" \n Paris.", "", []), id="leading whitespace stays where no tag follows"),
    pytest.param("<think>\nHm.\n</think>\n\nParis.", {}, ("Paris.", "Hm.", []), id="whitespace at a tag is layout"),
    pytest.param("\n<think>Hm.</think>Paris.\n", {}, ("Paris.\n", "Hm.", []), id="a newline before the opening tag"),
    pytest.param("<think>\n\n</think>\n\nParis.", {}, ("Paris.", "", []), id="empty reasoning is none"),
    pytest.param("<think>Hm. So", {}, ("", "Hm. So", []), id="reasoning cut off stays reasoning"),
    pytest.param("<think>Hm.\n", {}, ("", "Hm.\n", []), id="whitespace that no tag follows is kept"),
    pytest.param("<think>a <think> b</think>c", {}, ("c", "a <think> b", []), id="a tag quoted within reasoning"),
    pytest.param("<think>a</think><think>b</think>c", {}, ("c", "ab", []), id="a model may reason twice first"),
    pytest.param("<think>\n<think>\na</think>c", {}, ("c", "a", []), id="an opener that the server wrote once more"),
    pytest.param("Say <think>x</think>.", {}, ("Say <think>x</think>.", "", []), id="later tags are words"),
    pytest.param("<think>a</think>b <think>c</think>", {}, ("b <think>c</think>", "a", []), id="also after reasoning"),
    pytest.param("Hm.</think>Paris.", {}, ("Hm.</think>Paris.", "", []), id="a closing tag in text is a word"),
    pytest.param("1 < 2 <thin", {}, ("1 < 2 <thin", "", []), id="half a tag is words"),
    pytest.param("<thin", {}, ("<thin", "", []), id="half a tag at the beginning is words"),
    pytest.param("", {}, ("", "", []), id="nothing is nothing"),
    pytest.param("\nHm.\n</think>\n\nParis.", {"start": "reasoning"}, ("Paris.", "Hm.", []), id="the opener missing"),
    pytest.param("<think>\nHm.</think>Paris.", {"start": "reasoning"}, ("Paris.", "Hm.", []), id="expected, and there"),
    pytest.param("Hm. So ", {"start": "reasoning"}, ("Hm. So ", "Hm. So ", []), id="what never ends is text as well"),
    pytest.param("</think>Paris.", {"start": "reasoning"}, ("Paris.", "", []), id="reasoning that ends at once"),
    pytest.param("<thin", {"start": "reasoning"}, ("<thin", "<thin", []), id="half a tag is words there"),
    pytest.param(" Hm.\n</think>\nParis.\n", {"start": "undecided"}, ("Paris.\n", "Hm.", []), id="a closer decides"),
    pytest.param(" Paris.\n", {"start": "undecided"}, (" Paris.\n", "", []), id="no closer: it was text"),
    pytest.param("<think>Hm.</think>P.", {"start": "undecided"}, ("P.", "Hm.", []), id="an opener decides"),
    pytest.param(
        "Say <think>x</think>.", {"start": "undecided"}, ("Say <think>x</think>.", "", []), id="quoted tags are words"
    ),
    pytest.param("Paris </thi", {"start": "undecided"}, ("Paris </thi", "", []), id="half a closer is words"),
    pytest.param(f"<tool_call>\n{CALL}\n</tool_call>", {"tools": True}, ("", "", [ADD]), id="a call"),
    pytest.param(
        f"Hi. \n<tool_call>\n{CALL}\n</tool_call>\n<tool_call>{CALL}</tool_call>\n",
        {"tools": True},
        ("Hi.", "", [ADD, ADD]),
        id="two calls after words",
    ),
    pytest.param(
        f"<think>\nHm.\n</think>\n\n<tool_call>\n{CALL}\n</tool_call>",
        {"tools": True},
        ("", "Hm.", [ADD]),
        id="a call after reasoning",
    ),
    pytest.param(
        f"<think><tool_call>{CALL}</tool_call></think>",
        {"tools": True},
        ("", f"<tool_call>{CALL}</tool_call>", []),
        id="a call within reasoning is only a thought",
    ),
    pytest.param(f"<tool_call>\n{CALL}\n", {"tools": True}, ("", "", [ADD]), id="a call that was not closed"),
    pytest.param(f"<tool_call>\n{CALL}\n</tool_c", {"tools": True}, ("", "", [ADD]), id="a call cut in its closer"),
    pytest.param(
        "<tool_call>a <", {"tools": True}, ("<tool_call>a <", "", []), id="a tag that no call follows is a word"
    ),
    pytest.param("Hi.\n</tool_call>\n", {"tools": True}, ("Hi.", "", []), id="a stray closer, as llama.cpp leaves it"),
    pytest.param("\n</tool_call>", {"tools": True}, ("", "", []), id="nothing but a stray closer"),
    pytest.param(
        f"It is\n<tool_call>{CALL}</tool_call>\nfine",
        {"tools": True},
        ("It is\nfine", "", [ADD]),
        id="words on both sides of a call stay apart",
    ),
    pytest.param("Hi.</tool_call> Bye.", {"tools": True}, ("Hi. Bye.", "", []), id="whichever side the space was on"),
    pytest.param(f"<tool_call>{CALL}</tool_call>\n", {}, (f"<tool_call>{CALL}</tool_call>\n", "", []), id="no tools"),
    pytest.param("Hi.\n", {"tools": True}, ("Hi.\n", "", []), id="the last newline stays, with tools too"),
    pytest.param("a <tool b", {"tools": True}, ("a <tool b", "", []), id="nearly a tag is words"),
    pytest.param(
        f"Hi.\n<tool_call>{CALL}",
        {"tools": True, "start": "undecided"},
        ("Hi.", "", [ADD]),
        id="undecided, then a call",
    ),
    pytest.param(
        f"Hm.</think><tool_call>{CALL}</tool_call>",
        {"tools": True, "start": "undecided"},
        ("", "Hm.", [ADD]),
        id="undecided, then reasoning, then a call",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("text", "options", "expected"), CASES)
def test_an_answer_is_split_the_same_however_it_is_cut(text: str, options: dict[str, Any], expected: Read) -> None:
    assert read(text, **options) == expected
    assert read(*text, **options) == expected
    for one, two in itertools.combinations(range(len(text) + 1), 2):
        assert read(text[:one], text[one:two], text[two:], **options) == expected, (one, two)


WORDS = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        "<",
        "</",
        "<t",
        "tool_call>",
        "a",
        "{}",
        " ",
        "\n",
        "\u3000",
    ]
)


@pytest.mark.slow
@given(st.lists(st.one_of(WORDS, st.text(max_size=3)), max_size=25), st.booleans(), st.sampled_from(STARTS))
def test_any_text_is_split_the_same_however_it_is_cut(pieces: list[str], tools: bool, start: Start) -> None:
    whole = read("".join(pieces), tools=tools, start=start)
    assert read(*pieces, tools=tools, start=start) == whole
    assert read(*"".join(pieces), tools=tools, start=start) == whole


@pytest.mark.slow
@given(st.lists(st.one_of(WORDS, st.just("x")), max_size=25), st.booleans(), st.sampled_from(STARTS))
def test_no_word_is_lost_or_told_twice(pieces: list[str], tools: bool, start: Start) -> None:
    text, reasoning, calls = read(*pieces, tools=tools, start=start)
    # A thought without an end is told as text as well.
    told = (text + reasoning + "".join(calls)).count("x")
    assert pieces.count("x") in (told, told - reasoning.count("x"))


def test_reasoning_is_told_at_once() -> None:
    splitter = TagSplitter(tools=True, start="reasoning")
    assert splitter.feed("Hm") == [("reasoning", "Hm")]
    assert splitter.feed(" so.\n") == [("reasoning", " so.")]
    assert splitter.feed("</think>") == []
    assert splitter.feed("\n\nParis") == [("text", "Paris")]


def test_text_is_told_at_once_but_for_what_may_become_a_tag() -> None:
    splitter = TagSplitter(tools=True)
    assert splitter.feed("Paris") == [("text", "Paris")]
    assert splitter.feed(" <") == []
    assert splitter.feed("3") == [("text", " <3")]
    assert splitter.feed(" <tool_ca") == []
    assert splitter.feed("nnot") == [("text", " <tool_cannot")]


def test_undecided_text_is_held_back_until_it_is_known_what_it_was() -> None:
    splitter = TagSplitter(tools=False, start="undecided")
    assert splitter.feed("Hm.") == []
    assert splitter.feed(" So.") == []
    assert splitter.feed("</think>P") == [("reasoning", "Hm. So."), ("text", "P")]


def test_without_tools_text_passes_by_once_it_has_begun() -> None:
    splitter = TagSplitter(tools=False)
    assert not splitter.plain
    splitter.feed("\nParis")
    assert splitter.plain
    assert splitter.feed(" <tool_call>\n") == [("text", " <tool_call>\n")]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("held", ["", " ", "<thi", "\n<t"])
def test_once_the_server_tells_reasoning_apart_tags_are_words(start: Start, held: str) -> None:
    splitter = TagSplitter(tools=True, start=start)
    told = splitter.feed(held) + splitter.stop_reasoning() + splitter.feed("<think>x</think>") + splitter.close()
    assert "".join(str(piece) for kind, piece in told if kind == "text") == held + "<think>x</think>"
    assert {kind for kind, _ in told} == {"text"}


def test_what_was_undecided_is_text_once_the_server_tells_reasoning_apart() -> None:
    splitter = TagSplitter(tools=True, start="undecided")
    assert splitter.feed("Hi </th") == []
    assert splitter.stop_reasoning() == [("text", "Hi </th")]


@pytest.mark.slow
def test_long_answers_take_time_in_step_with_their_length() -> None:
    # Quadratic, each of these would take minutes.
    for text in (" ", "\n<", "<tool_call>", "<think></think>", "x ", "{}"):
        for start in STARTS:
            splitter = TagSplitter(tools=True, start=start)
            for _ in range(3_000):
                splitter.feed(text)
            splitter.close()
            splitter = TagSplitter(tools=True, start=start)
            splitter.feed(text * 3_000)
            splitter.close()
