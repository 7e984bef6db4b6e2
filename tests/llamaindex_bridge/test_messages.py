"""Converts LlamaIndex messages to requests, and answers to LlamaIndex messages."""

from __future__ import annotations

import base64
import json
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from llamaindex_xinference_bridge._messages import (
    logprobs_from_wire,
    message_from_wire,
    message_to_wire,
    messages_to_wire,
    usage_from_wire,
)
from xinference_bridge.errors import XinferenceUnsupportedError
from xinference_bridge.integration.unvalidated import unchecked
from xinference_bridge.protocol.chat.result import ChatResult, Usage
from xinference_bridge.protocol.chat.tool_calls import ToolCall

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WAV = b"RIFF$\x00\x00\x00WAVEfmt \x10\x00\x00\x00"


def answer(**changes) -> ChatResult:
    known: dict[str, Any] = {
        "text": "",
        "reasoning": "",
        "tool_calls": [],
        "finish_reason": "stop",
        "usage": None,
        "logprobs": None,
        "id": "chat-1",
        "created": 1,
        "model_replica": None,
        "system_fingerprint": None,
        "raw": {},
    }
    return ChatResult(**{**known, **changes})


@pytest.mark.parametrize(
    ("role", "wire"),
    [("system", "system"), ("developer", "system"), ("user", "user"), ("chatbot", "assistant"), ("model", "assistant")],
)
def test_each_role_has_its_word_on_the_wire(role, wire):
    assert message_to_wire(ChatMessage(role=role, content="Hello")) == {"role": wire, "content": "Hello"}


def test_several_texts_of_a_message_are_one_text_as_llamaindex_reads_them():
    message = ChatMessage(blocks=[TextBlock(text="one"), TextBlock(text="two")])
    assert message_to_wire(message)["content"] == message.content == "one\ntwo"


def only_part(block) -> dict[str, Any]:
    content = message_to_wire(ChatMessage(blocks=[block]))["content"]
    assert isinstance(content, list)
    (part,) = content
    return part


def test_an_image_goes_as_its_bytes_or_as_its_url(tmp_path):
    file = tmp_path / "dot.png"
    file.write_bytes(PNG)
    data_url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    for block, url in (
        (ImageBlock(image=PNG), data_url),
        (ImageBlock(path=file), str(file)),  # read when it is sent: tests/test_media_in_chat.py
        (ImageBlock(url="https://example.org/dot.png"), "https://example.org/dot.png"),
    ):
        message = ChatMessage(blocks=[TextBlock(text="What is this?"), block])
        assert message_to_wire(message)["content"] == [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": url}},
        ]


def test_the_wished_detail_of_an_image_goes_along():
    part = only_part(ImageBlock(image=PNG, detail="low"))
    assert part["image_url"]["detail"] == "low"


def test_sound_goes_as_audio_url_which_alone_the_server_reads():
    # 4.1.0 drops OpenAI's `input_audio` with a line in its log.
    part = only_part(AudioBlock(audio=WAV, format="wav"))
    assert part == {
        "type": "audio_url",
        "audio_url": {"url": "data:audio/wav;base64," + base64.b64encode(WAV).decode()},
    }


def test_a_film_goes_as_its_url():
    part = only_part(VideoBlock(url="https://example.org/a.mp4"))
    assert part == {"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("block", "name"),
    [
        (DocumentBlock(data=b"%PDF-1.7", document_mimetype="application/pdf"), "DocumentBlock"),
        (CachePoint(cache_control=CacheControl(type="ephemeral")), "CachePoint"),
        (ThinkingBlock(content="hm"), "ThinkingBlock"),
    ],
)
def test_a_block_that_has_no_place_is_named(block, name):
    with pytest.raises(XinferenceUnsupportedError, match=name):
        message_to_wire(ChatMessage(role="user", blocks=[block]))
    if name != "ThinkingBlock":
        with pytest.raises(XinferenceUnsupportedError, match=name):
            message_to_wire(ChatMessage(role="assistant", blocks=[block]))


def test_an_answer_goes_back_with_its_thoughts_and_calls_and_the_calls_once():
    message = message_from_wire(
        answer(text="Let me see.", reasoning="A sum.", tool_calls=[ToolCall("c1", "add", '{"a": 5, "b": 7}')])
    )
    assert [type(block) for block in message.blocks] == [ThinkingBlock, TextBlock, ToolCallBlock]
    assert message.additional_kwargs["tool_calls"][0]["id"] == "c1"  # where stream_structured_predict looks
    assert message_to_wire(message) == {
        "role": "assistant",
        "content": "Let me see.",
        "reasoning_content": "A sum.",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 5, "b": 7}'}}],
    }


def test_calls_that_another_integration_left_in_additional_kwargs_are_sent_back():
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    for foreign in (call, SimpleNamespace(model_dump=lambda: call)):
        message = ChatMessage(role="assistant", additional_kwargs={"tool_calls": [foreign]})
        assert message_to_wire(message)["tool_calls"] == [call]
        assert message_to_wire(message)["content"] == ""  # null breaks chat templates that search it


def test_a_tool_s_answer_names_the_call_that_it_answers():
    message = ChatMessage(role="tool", content="12", additional_kwargs={"tool_call_id": "c1"})
    assert message_to_wire(message) == {"role": "tool", "tool_call_id": "c1", "content": "12"}
    legacy = ChatMessage(role="function", content="12", additional_kwargs={"name": "add"})
    assert message_to_wire(legacy)["tool_call_id"] == "add"


def test_conversion_leaves_the_caller_s_messages_as_they_are():
    messages = [
        ChatMessage(role="user", blocks=[TextBlock(text="Hi"), ImageBlock(image=PNG)]),
        message_from_wire(answer(reasoning="hm", tool_calls=[ToolCall("c1", "add", '{"a": 5}')])),
    ]
    before = [message.model_copy(deep=True) for message in messages]
    messages_to_wire(messages)
    assert messages == before


def test_arguments_that_cannot_be_read_stay_what_the_model_wrote_and_travel_as_a_string_in_json():
    message = message_from_wire(answer(tool_calls=[ToolCall("c1", "add", '{"a": 5', error="cut")]))
    assert message.blocks == [ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs='{"a": 5')]
    wire = message_to_wire(message)["tool_calls"][0]["function"]["arguments"]
    assert json.loads(wire) == {"invalid": '{"a": 5'}  # llama.cpp answers a 500 to half a call


def test_an_empty_answer_has_empty_content_and_a_bare_call_has_none():
    assert message_from_wire(answer()).content == ""
    assert message_from_wire(answer(tool_calls=[ToolCall("c1", "add", "{}")])).content is None


def test_messages_built_unchecked_are_what_checked_ones_would_be():
    message = message_from_wire(answer(text="a", reasoning="b", tool_calls=[ToolCall("c1", "add", '{"a": 5}')]))
    assert ChatMessage.model_validate(message.model_dump()) == message
    assert message.model_dump_json()


def test_tokens_stand_under_the_names_that_the_token_counter_reads():
    told = usage_from_wire(answer(usage=Usage(10, 2, 12, cached_tokens=8)))
    assert told == {
        "finish_reason": "stop",
        "id": "chat-1",
        "prompt_tokens": 10,
        "completion_tokens": 2,
        "total_tokens": 12,
        "cached_tokens": 8,
    }


def test_each_token_has_its_candidates():
    entries = [
        {
            "token": "a",
            "logprob": -0.1,
            "top_logprobs": [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -2}],
        },
        {"token": "c", "logprob": -0.5, "bytes": [99]},
    ]
    found = logprobs_from_wire(entries)
    assert found is not None
    assert [[candidate.token for candidate in place] for place in found] == [["a", "b"], ["c"]]
    assert found[1][0].bytes == [99]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (TextBlock, {"text": "a"}),
        (ThinkingBlock, {"content": "a"}),
        (ChatMessage, {"role": MessageRole.ASSISTANT, "blocks": [TextBlock(text="a")], "additional_kwargs": {"b": 1}}),
        (ChatResponse, {"message": ChatMessage(content="a"), "delta": "a", "raw": {"c": 2}}),
        (CompletionResponse, {"text": "a", "delta": "a"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_what_is_built_unchecked_is_in_every_attribute_what_the_constructor_builds(kind, fields):
    made, proper = unchecked(kind, **fields), kind(**fields)
    assert made == proper
    assert (made.__dict__, made.model_extra, made.__pydantic_private__) == (
        proper.__dict__,
        proper.model_extra,
        proper.__pydantic_private__,
    )
    assert made.model_fields_set == proper.model_fields_set
    assert pickle.loads(pickle.dumps(made)) == made.model_copy(deep=True) == proper
    assert made.model_dump() == proper.model_dump()


def test_what_is_built_unchecked_shares_nothing_that_can_be_changed():
    one, other = unchecked(ThinkingBlock, content="a"), unchecked(ThinkingBlock, content="a")
    one.additional_information["x"] = 1
    assert other.additional_information == {}
