"""Chunks and answers are created without pydantic's validation, and must equal validated ones."""

from __future__ import annotations

import copy
import pickle

from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_xinference_bridge._chunks import ChunkWriter
from langchain_xinference_bridge._messages import result_from_wire
from xinference_bridge.protocol.chat.accumulator import chat_result_from_wire
from xinference_bridge.protocol.chat.result import ChatDelta


def made(text: str) -> ChatGenerationChunk:
    (chunk,) = ChunkWriter("uid", blocks=False).chunks(ChatDelta(text))
    return chunk


def test_it_is_in_every_attribute_what_the_constructors_make():
    mine, theirs = made("Hello"), ChatGenerationChunk(message=AIMessageChunk(content="Hello"))
    for one, other in ((mine, theirs), (mine.message, theirs.message)):
        assert one == other
        assert one.__dict__ == other.__dict__
        assert list(one.__dict__) == list(other.__dict__)
        assert one.model_fields_set == other.model_fields_set
        assert one.__pydantic_extra__ == other.__pydantic_extra__
        assert one.__pydantic_private__ == other.__pydantic_private__
        assert repr(one) == repr(other)
    assert dumpd(mine) == dumpd(theirs)
    assert copy.deepcopy(mine) == pickle.loads(pickle.dumps(mine)) == theirs


def test_it_shares_nothing_that_can_be_changed_with_another():
    one, other = made("one").message, made("other").message
    shared = [
        name
        for name, value in one.__dict__.items()
        if isinstance(value, (dict, list, set)) and value is other.__dict__[name]
    ]
    assert shared == []
    one.additional_kwargs["mark"] = 1
    one.foreign = 2  # type: ignore[attr-defined]  # message classes take attributes beyond their fields
    assert made("third").message == AIMessageChunk(content="third")


def test_chunks_of_both_makings_join():
    joined = made("Hel") + ChatGenerationChunk(message=AIMessageChunk(content="lo", chunk_position="last"))
    assert joined.text == "Hello"
    assert joined.message.content == "Hello"


CALLS = [
    {"id": "c1", "function": {"name": "add", "arguments": '{"a": 1}'}},
    {"id": "c2", "function": {"name": "add", "arguments": '{"a": '}},
]
ANSWER = {
    "id": "chat-1",
    "created": 1,
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "Paris.", "tool_calls": CALLS}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
}


def whole() -> ChatResult:
    return result_from_wire(chat_result_from_wire(ANSWER, tools=True), "uid")


def test_a_whole_answer_is_in_every_attribute_what_the_constructors_make():
    mine = whole()
    (generation,) = mine.generations
    assert isinstance(generation.message, AIMessage)
    theirs = ChatGeneration(
        generation_info={"finish_reason": "tool_calls"},
        message=AIMessage(
            content="Paris.",
            additional_kwargs={},
            tool_calls=[tool_call(name="add", args={"a": 1}, id="c1")],
            invalid_tool_calls=[
                invalid_tool_call(
                    name="add", args='{"a": ', id="c2", error=generation.message.invalid_tool_calls[0]["error"]
                )
            ],
            usage_metadata={
                "input_tokens": 3,
                "output_tokens": 2,
                "total_tokens": 5,
                "input_token_details": {"cache_read": 1},
            },
            response_metadata={
                "finish_reason": "tool_calls",
                "model_name": "uid",
                "model_provider": "xinference",
                "id": "chat-1",
                "created": 1,
            },
        ),
    )
    for one, other in ((generation, theirs), (generation.message, theirs.message)):
        assert one == other
        assert one.__dict__ == other.__dict__
        assert one.model_fields_set == other.model_fields_set
        assert one.__pydantic_extra__ == other.__pydantic_extra__
        assert one.__pydantic_private__ == other.__pydantic_private__
    assert dumpd(generation) == dumpd(theirs)
    assert copy.deepcopy(generation) == pickle.loads(pickle.dumps(generation)) == theirs
    assert mine == ChatResult(generations=[theirs], llm_output=mine.llm_output)


def test_whole_answers_share_nothing_that_can_be_changed():
    one, other = (whole().generations[0].message for _ in range(2))
    shared = [
        name
        for name, value in one.__dict__.items()
        if isinstance(value, (dict, list, set)) and value is other.__dict__[name]
    ]
    assert shared == []
