"""An answer is parsed the same whole and streamed, before and after the model's description is known."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.chunks import body, chunk
from xinference_bridge.protocol.chat.accumulator import ChatAccumulator, chat_result_from_wire
from xinference_bridge.protocol.chat.reading import depends_on_model, family_of, start_of
from xinference_bridge.protocol.chat.result import ChatResult
from xinference_bridge.protocol.engines import engine_named
from xinference_bridge.protocol.families import OPENED_BY_TEMPLATE, REASONING_TAGS
from xinference_bridge.protocol.model_info import ModelInfo

HYBRID, ALWAYS, NEVER = ("chat", "reasoning", "hybrid"), ("chat", "reasoning"), ("chat",)
#: A family of each pair of tags and each kind of template, one that nobody knows, and one that does not reason.
FAMILIES = [
    *{(tags, name in OPENED_BY_TEMPLATE): name for name, tags in REASONING_TAGS.items()}.values(),
    "qwen3",
    "deepseek-r1",
    "someone's own",
    "qwen2.5-instruct",
]
LONG = "Let me think about it once more. " * 12


def answers(family: str) -> dict[str, str]:
    opener, closer = REASONING_TAGS.get(family, ("<think>", "</think>"))
    return {
        "a thought": f"{opener}\nTwo and two.\n{closer}\n\nFour.",
        "a long thought": f"{opener}\n{LONG}\n{closer}\n\nFour.",
        "the opening tag in the prompt": f"Two and two.\n{closer}\n\nFour.",
        "the opening tag in the prompt, a long thought": f"{LONG}\n{closer}\n\nFour.",
        "never closed": f"{opener}\nTwo and two.",
        "never closed and long": f"{opener}\n{LONG}",
        "an empty thought": f"{opener}\n\n{closer}\n\nFour.",
        "no thought": "Four.",
        "no thought and long": LONG.strip(),
        "the tag quoted": f"Write `{opener}` first and `{closer}` last.",
        "white space around": "\n Four. \n",
        "a call": '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>',
        "a thought and a call": f'{opener}Hm.{closer}\n<tool_call>{{"name": "add", "arguments": {{}}}}</tool_call>',
        "nothing": "",
    }


TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]


def shown(result: ChatResult | None) -> Any:
    assert result is not None
    calls = [(call.name, call.arguments, call.error is None) for call in result.tool_calls]
    # What was streamed as a thought and turned out to be the answer is told as both.
    reasoning = "" if result.reasoning in result.text else result.reasoning
    return result.text, reasoning, calls, result.finish_reason


def model_of(family: str, abilities: tuple[str, ...]) -> ModelInfo:
    return ModelInfo(uid="m", name=family, type="LLM", abilities=abilities, engine="transformers")


def read_in_all_ways(family: str, abilities: tuple[str, ...], message: dict[str, Any], reason: str, tools: Any) -> Any:
    model = model_of(family, abilities)
    start, known = start_of(model, {}, engine_named(model.engine)), family_of(model)
    wire = body(message, reason)
    whole = shown(chat_result_from_wire(wire, tools=tools, start=start, family=known))
    readings = {}
    if not depends_on_model(wire, tools=bool(tools)):  # else the description is asked for first
        readings["before the description"] = shown(chat_result_from_wire(wire, tools=tools))
    text, beside = message["content"], {key: value for key, value in message.items() if key != "content"}
    for size in (1, 7, len(text) or 1):
        reader = ChatAccumulator(tools=tools, start=start, family=known)
        for place in range(0, len(text), size):
            reader.feed(chunk({"content": text[place : place + size], **beside}))
        reader.feed(chunk({}, reason))
        readings[f"in pieces of {size}"] = shown(reader.finish().final)
    assert {way: said for way, said in readings.items() if said != whole} == {}, whole
    return whole


@pytest.mark.slow
@pytest.mark.parametrize("abilities", [HYBRID, ALWAYS, NEVER], ids="-".join)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tools", [False, TOOLS], ids=["no tools", "tools"])
def test_an_answer_is_the_same_whole_and_streamed_before_and_after_the_description(
    family: str, abilities: tuple[str, ...], tools: Any
) -> None:
    for name, text in answers(family).items():
        for reason in ("stop", "length"):
            said, _, calls, _ = read_in_all_ways(family, abilities, {"content": text}, reason, tools)
            if reason == "stop" and text.strip():
                assert said.strip() or calls, name  # an answer never vanishes into reasoning


@pytest.mark.parametrize("family", FAMILIES)
def test_a_null_beside_the_answer_changes_nothing_between_whole_and_streamed(family: str) -> None:
    for text in answers(family).values():
        read_in_all_ways(family, HYBRID, {"content": text, "reasoning_content": None}, "stop", False)


@pytest.mark.parametrize("text", ["\n\nSure \n", "\n\n", "Sure", " \nOne.\n\nTwo. "])
@pytest.mark.parametrize("family", ["qwen2.5-instruct", "qwen3", "deepseek-r1"])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_white_space_beside_calls_that_the_server_parsed_is_the_same_whole_and_streamed(
    family: str, text: str, size: int
) -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    abilities = HYBRID if family != "qwen2.5-instruct" else NEVER
    start, known = (
        start_of(model_of(family, abilities), {}, engine_named("vLLM")),
        family_of(model_of(family, abilities)),
    )
    whole = chat_result_from_wire(
        body({"content": text, "tool_calls": [call]}, "tool_calls"), tools=TOOLS, start=start, family=known
    )
    reader = ChatAccumulator(tools=TOOLS, start=start, family=known)
    for place in range(0, len(text), size):
        reader.feed(chunk({"content": text[place : place + size]}))
    reader.feed(chunk({"tool_calls": [call]}))
    reader.feed(chunk({}, "tool_calls"))
    assert shown(reader.finish().final) == shown(whole)
