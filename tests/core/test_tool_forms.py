"""Tool calls in the text, compared with the server's parsers: `python -m lab.oracle` writes their results as data.

Content is compared word by word: white space beside a call belongs to the layout here, and to the text there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from lab.answers import ADD, CALLS, NOW, SUM
from xinference_bridge.protocol.chat.tags import TagSplitter
from xinference_bridge.protocol.chat.tool_forms.written import WrittenCall
from xinference_bridge.protocol.families import TOOL_FORMS

FORMS = sorted((Path(__file__).parent / "data" / "tool_forms").glob("*.json"))
FAMILIES = {parser: family for family, parser in TOOL_FORMS.items()}

QUOTED = "a call quoted in code"

#: These are cut in two at every place; the others come character by character.
CUT_EVERYWHERE = {"parallel calls", "tags inside text", "words between", "the opening tag in prose"}

#: Where the server's parser is not followed, and why; what was meant is read instead.
IN_A_STRING = "it ends the call at a tag that stands in a string"
DROPPED = "it drops a second call that is like the first"
BEYOND = "it drops what follows the first channel of calls"
AROUND = "it drops the words around the fences"
DIFFERENCES: dict[str, dict[str, str]] = {
    "deepseek_r1": {"the same call twice": DROPPED},
    "deepseek_v3": {
        "the same call twice": DROPPED,
        "parallel calls": "it takes calls with the same keys for the same call",
        "tags inside text": IN_A_STRING,
        "words before": AROUND,
        "words between": AROUND,
        "words after": AROUND,
    },
    "deepseek_v3_1": {"the same call twice": DROPPED},
    "deepseek_v3_2_plain": {"tags inside text": IN_A_STRING},
    "deepseek_v4_plain": {"tags inside text": IN_A_STRING},
    "glm5": {"tags inside text": IN_A_STRING},
    "kimi_k3": {"words after": BEYOND, "words between": BEYOND},
    "minimax": {"tags inside text": IN_A_STRING},
    "qwen": {"tags inside text": IN_A_STRING},
    "qwen_xml": {"tags inside text": IN_A_STRING},
}
MEANT = {**CALLS, "words before": [ADD], "words after": [ADD], "words between": [ADD, NOW]}


def read(pieces: Iterable[str], tools: list[Any], family: str | None) -> tuple[str, list[WrittenCall]]:
    splitter = TagSplitter(tools=tools, family=family)
    told = [told for piece in pieces for told in splitter.feed(piece)] + splitter.close()
    text = "".join(str(piece) for kind, piece in told if kind == "text")
    return text, [piece for _, piece in told if isinstance(piece, WrittenCall)]


def arguments(calls: Iterable[WrittenCall]) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in calls if call.error is None]


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_calls_in_the_text_are_those_that_the_servers_parser_reads(form: Path) -> None:
    data = json.loads(form.read_text())
    for answer in data["answers"]:
        text, calls = read([answer["text"]], data["tools"], FAMILIES[data["parser"]])
        served = [(call["name"], call["arguments"]) for call in answer.get("calls", [])]
        same = (arguments(calls), text.split()) == (served, answer.get("content", "").split())
        name = answer["id"]
        if name.startswith("cut"):
            # A truncated call is reported as an invalid call. The server returns it as text or as half a call.
            assert arguments(calls) == [ADD, SUM][: len(arguments(calls))], name
            assert [call.error is None for call in calls] == sorted(
                (call.error is None for call in calls), reverse=True
            )
            assert len(calls) <= 2
        elif name == QUOTED:
            assert same or (text, calls) == (answer["text"], []), name
        elif name in DIFFERENCES.get(form.stem, {}):
            assert not same, f"{name}: the server reads this as we do"
            assert arguments(calls) == MEANT[name], name
        else:
            assert same, (name, text, calls)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_an_answer_with_calls_reads_the_same_however_it_is_cut(form: Path) -> None:
    data = json.loads(form.read_text())
    family = FAMILIES[data["parser"]]
    for answer in data["answers"]:
        text = answer["text"]
        whole = read([text], data["tools"], family)
        assert read(text, data["tools"], family) == whole
        for place in range(1, len(text)) if answer["id"] in CUT_EVERYWHERE else ():
            assert read([text[:place], text[place:]], data["tools"], family) == whole, (answer["id"], place)


@pytest.mark.parametrize("form", [form for form in FORMS if form.stem != "deepseek_v3"], ids=lambda path: path.stem)
def test_a_family_that_is_not_known_is_read_by_the_text_alone(form: Path) -> None:
    data = json.loads(form.read_text())
    for answer in data["answers"]:
        known = read([answer["text"]], data["tools"], FAMILIES[data["parser"]])
        assert read([answer["text"]], data["tools"], None) == known, answer["id"]
        assert read(answer["text"], data["tools"], None) == known, answer["id"]


TOOLS = json.loads(FORMS[0].read_text())["tools"]
CALL = '{"name": "add", "arguments": {"a": 1, "b": 2}}'


@pytest.mark.parametrize(
    "answer",
    [
        CALL,
        f"\n{CALL}\n\n\n",
        f"```json\n{CALL}\n```\n\n\n\n",
        f"```json\n{CALL}",
        f"```\n[{CALL}]\n```",
        f"```xml\n<tool_call>\n{CALL}\n</tool_call>\n```",
        f"<tool_call>[{CALL}]</tool_call>",
        f"<tool_call>\n```json\n{CALL}\n```\n</tool_call>",
        "{name: 'add', arguments: {a: 1, b: 2,},}",
        "<tool_call>{'name': 'add', 'arguments': {'a': 1, 'b': 2}}</tool_call>",
        '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}</tool_call>',
        '{"type": "function", "function": {"name": "add", "parameters": {"a": 1, "b": 2}}}',
        'add\n{"a": 1, "b": 2}',
        f"<tools>\n{CALL}\n</tools>",
        f"[TOOL_CALLS] [{CALL}]",
        f"<|python_tag|>{CALL}<|eom_id|>",
        f"<|tool_call|>[{CALL}]<|/tool_call|>",
        f"functools[{CALL}]",
        f"<functioncall> {CALL}",
        f"<response>\n{CALL}\n</response>",
        f"{CALL}\n</tool_call>",
        f"{CALL}<|im_end|>",
        '<function=add>{"a": 1, "b": 2}</function>',
        "<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n2\n</parameter>\n</function>",
        "<function=add>\n<parameter=a>1</parameter>\n<parameter=b>2</parameter>\n</function>\n</tool_call>",
        "[add(a=1, b=2)]",
        "add(a=1, b=2)",
        "```tool_code\nadd(a=1, b=2)\n```",
        '<｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a": 1, "b": 2}<｜tool▁call▁end｜>',
        '<tool_call>{"name": "functions.add", "arguments": {"a": 1, "b": 2}}</tool_call>',
    ],
)
def test_a_call_as_small_models_write_it_is_read(answer: str) -> None:
    for pieces in ([answer], list(answer)):
        text, calls = read(pieces, TOOLS, None)
        assert (text, arguments(calls)) == ("", [ADD])


@pytest.mark.parametrize(
    "answer",
    [
        '{"name": "Ada", "arguments": {"a": 1}}',
        '{"name": "add"}',
        f"{CALL}\n\nThis adds them.",
        f"```json\n{CALL}\n```\nThis adds them.",
        f"Use:\n```json\n{CALL}\n```",
        f"Write `<tool_call>{CALL}</tool_call>` for it.",
        f"~~~\n<tool_call>\n{CALL}\n</tool_call>\n~~~",
        "Put it between <tool_call> and </tool_call>.".replace(" </tool_call>", " the end"),
        '{"city": "Paris"}',
        "add them up",
        '["add"]',
        "add (the numbers) up",
        "add(1, 2)",
        "add(a=1, b=2) is what I would call.",
        "[add(a=1), other(b=2)]",
        "[add(a=x)]",
        "<function=other>{}</function>",
        "<tools> is the tag.",
        "[TOOL_CALLS]",
        f"[TOOL_CALLS] {CALL} and more words",
        "functools.reduce is a function.",
    ],
)
def test_an_answer_that_is_no_call_is_text_to_the_letter(answer: str) -> None:
    for pieces in ([answer], list(answer)):
        assert read(pieces, TOOLS, None) == (answer, [])


def test_text_streams_at_once_though_tools_were_offered() -> None:
    splitter = TagSplitter(tools=TOOLS)
    assert splitter.feed("Paris") == [("text", "Paris")]
    splitter = TagSplitter(tools=TOOLS)
    assert splitter.feed('{"city') == [("text", '{"city')]
    splitter = TagSplitter(tools=TOOLS)
    assert splitter.feed("add (the numbers) up") == [("text", "add (the numbers) up")]
