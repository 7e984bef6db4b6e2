"""gpt-oss: reasoning, calls and text in channels, with and without special tokens, split at any position."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.core.chunks import chunk
from xinference_bridge.protocol.chat.accumulator import ChatAccumulator, chat_result_from_wire
from xinference_bridge.protocol.chat.result import ChatResult
from xinference_bridge.protocol.chat.tags import TagSplitter
from xinference_bridge.protocol.chat.tool_forms.written import WrittenCall

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("add", "now", "web-browsing")
]
Read = tuple[str, str, list[tuple[str, str, bool]]]

ADD = ("add", '{"a": 2, "b": 2}', True)
THOUGHT = "<|channel|>analysis<|message|>Two and two.<|end|>"
START = "<|start|>assistant"
CALL = '<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 2, "b": 2}<|call|>'
FINAL = "<|channel|>final<|message|>Four.<|return|>"

ANSWERS: dict[str, tuple[str, Read]] = {
    "a thought and a call": (THOUGHT + START + CALL, ("Two and two.", "", [ADD])),
    "a call alone": (CALL, ("", "", [ADD])),
    "no token that ends the call": (THOUGHT + START + CALL.removesuffix("<|call|>"), ("Two and two.", "", [ADD])),
    "the recipient beside the role": (
        THOUGHT + '<|start|>assistant to=functions.add<|channel|>commentary json<|message|>{"a": 2, "b": 2}<|call|>',
        ("Two and two.", "", [ADD]),
    ),
    "the recipient first": (
        ' to=functions.add<|channel|>commentary <|constrain|>json<|message|>{"a": 2, "b": 2}<|call|>',
        ("", "", [ADD]),
    ),
    "a call among the thoughts": (
        '<|channel|>analysis to=functions.add code<|message|>{"a": 2, "b": 2}<|call|>',
        ("", "", [ADD]),
    ),
    "json grown together with the name": (
        '<|channel|>commentary to=functions.addjson<|message|>{"a": 2, "b": 2}<|call|>',
        ("", "", [ADD]),
    ),
    "a name with a hyphen": (
        "<|channel|>commentary to=functions.web-browsing<|constrain|>json<|message|>{}<|call|>",
        ("", "", [("web-browsing", "{}", True)]),
    ),
    "no namespace": ("<|channel|>commentary to=now<|message|>{}<|call|>", ("", "", [("now", "{}", True)])),
    "no arguments": (
        "<|channel|>commentary to=functions.now<|message|><|call|>",
        ("", "", [("now", "{}", True)]),
    ),
    "two calls": (
        CALL + START + "<|channel|>commentary to=functions.now<|message|>{}<|call|>",
        ("", "", [ADD, ("now", "{}", True)]),
    ),
    "words before the call": (
        THOUGHT + START + "<|channel|>commentary<|message|>I will add them.<|end|>" + START + CALL,
        ("Two and two.", "I will add them.", [ADD]),
    ),
    "a call and an answer": (CALL + START + FINAL, ("", "Four.", [ADD])),
    "no start before the channel": (
        "<|channel|>analysis<|message|>Hm.<|channel|>final<|message|>Four.",
        ("Hm.", "Four.", []),
    ),
    "two thoughts": (
        THOUGHT + START + "<|channel|>analysis<|message|>Four?<|end|>" + START + FINAL,
        ("Two and two.\n\nFour?", "Four.", []),
    ),
    "the answer of the tool made up": (
        CALL + '<|start|>functions.add to=assistant<|channel|>commentary<|message|>"5"<|end|>' + START + FINAL,
        ("", "Four.", [ADD]),
    ),
    "tokens within a string": (
        '<|channel|>commentary to=functions.add<|message|>{"a": "<|end|><|call|>", "b": 2}<|call|>',
        ("", "", [("add", '{"a": "<|end|><|call|>", "b": 2}', True)]),
    ),
    "nearly JSON": (
        "<|channel|>commentary to=functions.add<|message|>{a: 2, 'b': 2,}<|call|>",
        ("", "", [ADD]),
    ),
    "cut within the arguments": (CALL[:-13], ("", "", [("add", '{"a": 2, "b', False)])),
    "cut within the header": ("<|channel|>commentary to=functions.add", ("", "", [("add", "", False)])),
    "a header of nothing": (
        "<|channel|>commentary?commentary?<|end|>" + START + THOUGHT + START + FINAL,
        ("Two and two.", "Four.", []),
    ),
    "words in place of a header": (
        "<|channel|>The sum is four.<|end|>",
        ("", "The sum is four.", []),
    ),
    "no channel at all": ("Four.", ("", "Four.", [])),
    "bare: a thought and a call": (
        'analysisTwo and two.assistantcommentary to=functions.add json{"a": 2, "b": 2}',
        ("Two and two.", "", [ADD]),
    ),
    "bare: a call alone": ('commentary to=functions.add json{"a": 2, "b": 2}', ("", "", [ADD])),
    "bare: all grown together": ('commentary to=functions.addjson{"a": 2, "b": 2}', ("", "", [ADD])),
    "bare: the recipient beside the role": (
        'analysisTwo and two.assistant to=functions.addcommentary json{"a": 2, "b": 2}',
        ("Two and two.", "", [ADD]),
    ),
    "bare: two calls": (
        'commentary to=functions.add json{"a": 2, "b": 2}assistantcommentary to=functions.now json{}',
        ("", "", [ADD, ("now", "{}", True)]),
    ),
    "bare: words before the call": (
        'analysisHm.assistantcommentaryI will.assistantcommentary to=functions.add json{"a": 2, "b": 2}',
        ("Hm.", "I will.", [ADD]),
    ),
    "bare: a call and an answer": (
        'commentary to=functions.add json{"a": 2, "b": 2}assistantfinalFour.',
        ("", "Four.", [ADD]),
    ),
    "bare: the answer alone": ("finalFour.", ("", "Four.", [])),
    "bare: cut within the arguments": (
        'analysisHm.assistantcommentary to=functions.add json{"a": 2, "b',
        ("Hm.", "", [("add", '{"a": 2, "b', False)]),
    ),
    "bare: no channel": ("finally, four.", ("", "finally, four.", [])),
    "bare: a word of the answer": ("commentary on this: none", ("", "commentary on this: none", [])),
}


def read(pieces: Iterable[str], family: str | None = "gpt-oss", tools: Any = TOOLS) -> Read:
    splitter = TagSplitter(tools=tools, family=family)
    told = [told for piece in pieces for told in splitter.feed(piece)] + splitter.close(finished=True)
    said = {wanted: "".join(str(piece) for kind, piece in told if kind == wanted) for wanted in ("reasoning", "text")}
    calls = [(call.name, call.arguments, call.error is None) for _, call in told if isinstance(call, WrittenCall)]
    return said["reasoning"], said["text"], calls


@pytest.mark.parametrize("name", ANSWERS)
def test_channels_are_read_the_same_however_the_answer_is_cut(name: str) -> None:
    answer, expected = ANSWERS[name]
    assert read([answer]) == expected
    assert read(answer) == expected
    for place in range(1, len(answer)):
        assert read([answer[:place], answer[place:]]) == expected, place


@pytest.mark.parametrize("name", [name for name, (answer, _) in ANSWERS.items() if answer.startswith("<|")])
def test_channels_are_known_by_their_tokens_where_the_family_is_not_known(name: str) -> None:
    answer, expected = ANSWERS[name]
    assert read([answer], family=None) == read(answer, family=None) == expected


@pytest.mark.parametrize("thought", ["Two and two.", ""])
@pytest.mark.parametrize(
    "call",
    [
        "<|start|>assistant" + CALL,  # of a server that keeps the special tokens
        'assistantcommentary to=functions.add json{"a": 2, "b": 2}',
    ],
)
def test_a_call_that_the_server_left_in_the_reasoning_is_called(thought: str, call: str) -> None:
    # The result of 4.1.0's channel parser for reasoning and a call: it does not know a channel for calls.
    served = thought + call
    whole = chat_result_from_wire(
        {"choices": [{"index": 0, "message": {"content": "", "reasoning_content": served}, "finish_reason": "stop"}]},
        tools=TOOLS,
        family="gpt-oss",
    )
    reader = ChatAccumulator(tools=TOOLS, family="gpt-oss")
    for character in served:
        reader.feed(chunk({"content": None, "reasoning_content": character}))
    reader.feed(chunk({"content": "", "reasoning_content": None}, "stop"))
    streamed = reader.finish().final
    assert streamed is not None
    for result in (whole, streamed):
        assert shown(result) == (thought, "", [("add", '{"a": 2, "b": 2}')])
        assert result.finish_reason == "tool_calls"


def test_channel_names_in_separated_text_are_content() -> None:
    reader = ChatAccumulator(tools=TOOLS, family="gpt-oss")
    reader.feed(chunk({"content": None, "reasoning_content": "Hm."}))
    for piece in ("analysis", " of it"):
        reader.feed(chunk({"content": piece, "reasoning_content": None}))
    reader.feed(chunk({}, "stop"))
    result = reader.finish().final
    assert result is not None
    assert shown(result) == ("Hm.", "analysis of it", [])


def test_without_tools_a_call_is_text() -> None:
    assert read([CALL], tools=False) == ("", CALL.removesuffix("<|call|>"), [])


def shown(result: ChatResult) -> tuple[str, str, list[tuple[str, str]]]:
    return result.reasoning, result.text, [(call.name, call.arguments) for call in result.tool_calls]
