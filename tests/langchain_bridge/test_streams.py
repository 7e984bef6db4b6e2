"""The joined deltas of a stream equal the whole answer: text, reasoning and tool calls."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool

from tests.langchain_bridge.conftest import ENGINES, REASONING, chat_on
from tests.support.versions import needs


@tool
def get_weather(city: str) -> str:
    """Get the weather for a city."""
    return f"It's sunny in {city}."


@tool
def multiply(a: float, b: float) -> float:
    """Multiply two numbers."""
    return a * b


def joined(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    first, *rest = chunks
    whole = first + rest
    assert isinstance(whole, AIMessageChunk)
    return whole


def said(message: AIMessage) -> dict[str, Any]:
    """What two answers to one question have in common; ids, timings and cached tokens vary."""
    usage = message.usage_metadata
    return {
        "content": [_without_numbers(block) for block in message.content]
        if isinstance(message.content, list)
        else message.content,
        "blocks": [_without_numbers(block) for block in message.content_blocks],
        "reasoning": message.additional_kwargs.get("reasoning_content"),
        "tool_calls": [(call["name"], call["args"]) for call in message.tool_calls],
        "invalid": [call["name"] for call in message.invalid_tool_calls],
        "finish_reason": message.response_metadata["finish_reason"],
        "model": (message.response_metadata["model_provider"], message.response_metadata["model_name"]),
        "tokens": usage and usage["input_tokens"],
    }


def _without_numbers(block: Any) -> Any:
    return {name: value for name, value in block.items() if name not in ("index", "id")}


CASES = [
    *(
        pytest.param(uid, question, [], id=f"{uid}-{name}")
        for uid in ENGINES
        for name, question in {
            "words": "Name three colors.",
            "bytes": "Answer with emoji.",
        }.items()
    ),
    *(pytest.param(uid, "What is the weather in Paris?", [get_weather], id=f"{uid}-call") for uid in ENGINES),
    *(
        pytest.param(uid, "What is the weather in Paris and in London?", [get_weather], id=f"{uid}-calls")
        for uid in ENGINES
    ),
    *(pytest.param(uid, "Which is larger, 9.9 or 9.11?", [], id=f"{uid}-thought") for uid in REASONING),
    *(pytest.param(uid, "What is 3 times 4?", [multiply], id=f"{uid}-thought-call") for uid in REASONING),
]


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize(("uid", "question", "tools"), CASES)
async def test_a_stream_ends_in_the_words_of_the_answer_not_streamed(connection, uid, question, tools, version):
    model = chat_on(uid, connection, output_version=version)
    asked = model.bind_tools(tools) if tools else model
    whole = said(asked.invoke(question))
    chunks = list(asked.stream(question))
    assert said(joined(chunks)) == whole
    assert [chunk.chunk_position for chunk in chunks].count("last") == 1
    assert chunks[-1].chunk_position == "last"
    assert said(joined([chunk async for chunk in asked.astream(question)])) == whole
    if tools:
        assert whole["tool_calls"]
        assert "<tool_call>" not in str(whole["content"])
    if uid in REASONING:
        assert whole["blocks"][0]["type"] == "reasoning"
        assert "think>" not in str(whole["content"])
        assert ("reasoning" in str(whole["content"])) == (version == "v1")


@pytest.mark.server
@pytest.mark.parametrize(
    "version",
    [
        pytest.param("v0", marks=needs("langchain-core>=1.4.1", "words take the place of reasoning that has no index")),
        "v1",
    ],
)
@pytest.mark.parametrize("uid", REASONING)
def test_events_of_the_third_version_tell_reasoning_and_words_apart(connection, uid, version):
    stream = chat_on(uid, connection, output_version=version).stream_events("What is 2 + 2?", version="v3")
    assert "".join(stream.text).strip() == "2 + 2 is 4."
    blocks = stream.output.content_blocks
    assert [block["type"] for block in blocks] == ["reasoning", "text"]
    assert blocks[0]["reasoning"].strip() == "The user asks for a sum. Two and two make four."


@pytest.mark.server
def test_events_of_the_third_version_carry_tool_calls(chat):
    stream = chat.bind_tools([get_weather]).stream_events("What is the weather in Paris?", version="v3")
    for _ in stream:
        pass
    assert [(call["name"], call["args"]) for call in stream.output.tool_calls] == [("get_weather", {"city": "Paris"})]


@pytest.mark.server
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_a_streamed_call_may_stand_in_the_history_as_it_is(uid, connection, version):
    model = chat_on(uid, connection, output_version=version).bind_tools([get_weather])
    question = HumanMessage("What is the weather in Paris?")
    called = joined(list(model.stream([question])))
    said = ToolMessage("Sunny, 24 degrees.", tool_call_id=called.tool_calls[0]["id"])
    assert model.invoke([question, called, said]).text == "It is sunny in Paris."


@pytest.mark.server
async def test_astream_events_tell_each_token(chat):
    events = [event async for event in chat.astream_events("Name three colors.", version="v2")]
    told = [event["data"]["chunk"].content for event in events if event["event"] == "on_chat_model_stream"]
    assert len(told) > 3
    assert "".join(told) == "Red, green and blue."
    assert events[-1]["event"] == "on_chat_model_end"


@pytest.mark.server
def test_thinking_is_switched_off_by_one_word(connection):
    answers = chat_on("tiny-think", connection)
    assert "reasoning_content" in answers.invoke("What is 2 + 2?").additional_kwargs
    quiet = answers.invoke("What is 2 + 2?", enable_thinking=False)
    assert quiet.content == "2 + 2 is 4."
    assert "reasoning_content" not in quiet.additional_kwargs


@pytest.mark.server
def test_a_call_that_max_tokens_cut_off_is_invalid_however_it_was_asked_for(chat):
    cut = chat.bind_tools([get_weather], max_tokens=14)
    question = "What is the weather in Paris?"
    whole, streamed = cut.invoke(question), joined(list(cut.stream(question)))
    for answer in (whole, streamed):
        # Joined as LangChain joins chunks, half a call would be completed and be one to run.
        assert answer.tool_calls == []
        assert answer.response_metadata["finish_reason"] == "length"
    assert [call["name"] or None for call in streamed.invalid_tool_calls] == [
        call["name"] or None for call in whole.invalid_tool_calls
    ]


@pytest.mark.server
def test_the_tokens_of_a_stream_are_told_once_and_only_where_they_are_wanted(chat):
    usage = joined(list(chat.stream("Name three colors."))).usage_metadata
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_tokens"] < 15  # the transformers engine sends its count twice
    assert joined(list(chat.stream("Name three colors.", stream_usage=False))).usage_metadata is None
