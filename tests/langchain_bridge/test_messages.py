"""Converts LangChain's messages to requests: every form, and what cannot be sent."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import copy
import json

import pytest
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langchain_xinference_bridge._messages import message_to_wire, messages_to_wire
from xinference_bridge.errors import XinferenceError, XinferenceUnsupportedError


def sent(*blocks):
    return message_to_wire(HumanMessage(list(blocks)))["content"]


def test_the_roles():
    wire = messages_to_wire(
        [SystemMessage("s"), HumanMessage("h", name="ada"), AIMessage("a"), ToolMessage("t", tool_call_id="1")]
    )
    assert wire == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "h", "name": "ada"},
        {"role": "assistant", "content": "a"},
        {"role": "tool", "content": "t", "tool_call_id": "1"},
    ]


def test_older_messages_with_a_role_of_their_own():
    assert message_to_wire(ChatMessage("x", role="developer")) == {"role": "system", "content": "x"}
    assert message_to_wire(FunctionMessage("3", name="add"))["role"] == "tool"
    with pytest.raises(XinferenceError, match="role='narrator'"):
        message_to_wire(ChatMessage("x", role="narrator"))


def test_a_message_that_is_no_message_to_the_model_is_refused_by_name():
    with pytest.raises(XinferenceUnsupportedError, match="RemoveMessage"):
        message_to_wire(RemoveMessage(id="1"))


def test_tool_calls_go_back_as_the_model_wrote_them():
    message = AIMessage("", tool_calls=[tool_call(name="add", args={"a": 1, "città": "è"}, id="1")])
    call = message_to_wire(message)["tool_calls"][0]
    assert call == {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "città": "è"}'}}


def test_an_invalid_tool_call_stays_in_the_history_for_its_answer_to_point_to():
    message = AIMessage("", invalid_tool_calls=[invalid_tool_call(name="add", args='{"a": ', id="1", error="broken")])
    call = message_to_wire(message)["tool_calls"][0]
    assert call["id"] == "1"
    assert json.loads(call["function"]["arguments"]) == {"invalid": '{"a": '}


def test_reasoning_goes_back_beside_the_content_however_it_is_kept():
    v0 = AIMessage("Paris.", additional_kwargs={"reasoning_content": "France…"})
    v1 = AIMessage([{"type": "reasoning", "reasoning": "France…"}, {"type": "text", "text": "Paris."}])
    assert message_to_wire(v0) == message_to_wire(v1)
    assert message_to_wire(v0) == {"role": "assistant", "content": "Paris.", "reasoning_content": "France…"}


def test_an_answer_in_blocks_is_sent_as_the_text_it_was_and_its_calls_once():
    calls = [tool_call(name="add", args={"a": 1}, id="1")]
    message = AIMessage(
        [
            {"type": "text", "text": "Let me "},
            {"type": "text", "text": "see."},
            {"type": "tool_call", "name": "add", "args": {"a": 1}, "id": "1"},
        ],
        tool_calls=calls,
    )
    wire = message_to_wire(message)
    assert wire["content"] == "Let me see."
    assert len(wire["tool_calls"]) == 1


def test_an_answer_that_holds_an_image_is_refused():
    with pytest.raises(XinferenceUnsupportedError, match=r"AIMessage.*'image_url'"):
        message_to_wire(AIMessage([{"type": "image", "url": "http://example.org/a.png"}]))


@pytest.mark.parametrize(
    ("content", "status", "expected"),
    [
        ("3", "success", "3"),
        ([{"type": "text", "text": "3"}], "success", "3"),
        (["a", {"type": "text", "text": "b"}], "success", "a\nb"),
        ("no such city", "error", "Error: no such city"),
        ("Error: no such city", "error", "Error: no such city"),
    ],
)
def test_what_a_tool_said_as_text_list_or_error(content, status, expected):
    assert message_to_wire(ToolMessage(content, tool_call_id="1", status=status))["content"] == expected


PNG = "iVBORw0KGgo="


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"},
        {"type": "image", "base64": PNG, "mime_type": "image/png"},
        {"type": "image", "source_type": "base64", "data": PNG, "mime_type": "image/png"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ],
    ids=["openai", "openai-text", "v1", "v0", "anthropic"],
)
def test_an_image_by_its_bytes_in_every_form(block):
    assert sent(block) == [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": "http://e.org/a.png"}},
        {"type": "image", "url": "http://e.org/a.png"},
        {"type": "image", "source_type": "url", "url": "http://e.org/a.png"},
        {"type": "image", "source": {"type": "url", "url": "http://e.org/a.png"}},
    ],
)
def test_an_image_by_its_url_in_every_form(block):
    assert sent(block) == [{"type": "image_url", "image_url": {"url": "http://e.org/a.png"}}]


def test_other_openai_fields_of_an_image_block_are_kept():
    block = {"type": "image_url", "image_url": {"url": "http://e.org/a.png", "detail": "low"}}
    assert sent(block) == [block]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "audio", "base64": "UklG", "mime_type": "audio/wav"},
        {"type": "audio", "source_type": "base64", "data": "UklG", "mime_type": "audio/wav"},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
    ],
)
def test_a_sound_is_sent_by_url_for_the_server_drops_the_form_of_openai(block):
    assert sent(block) == [{"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,UklG"}}]


def test_a_film():
    assert sent({"type": "video", "url": "http://e.org/a.mp4"}) == [
        {"type": "video_url", "video_url": {"url": "http://e.org/a.mp4"}}
    ]
    assert sent({"type": "video", "base64": "AAAA", "mime_type": "video/webm"}) == [
        {"type": "video_url", "video_url": {"url": "data:video/webm;base64,AAAA"}}
    ]


def test_texts_are_one_text_for_templates_that_fail_at_a_list():
    assert sent("a", {"type": "text", "text": "b"}, {"type": "text-plain", "text": "c"}) == "a\nb\nc"


def test_text_beside_an_image_keeps_its_place():
    parts = sent({"type": "text", "text": "What is this?"}, {"type": "image", "url": "http://e.org/a.png"})
    assert [part["type"] for part in parts] == ["text", "image_url"]


@pytest.mark.parametrize(
    ("block", "named"),
    [
        ({"type": "file", "base64": "JVBE", "mime_type": "application/pdf"}, "file"),
        ({"type": "image", "file_id": "f-1"}, "image"),
        ({"type": "tool_use", "id": "1", "name": "f", "input": {}}, "tool_use"),
        ({"type": "non_standard", "value": {}}, "non_standard"),
        ({"type": "hologram"}, "hologram"),
        ({"text": "no type"}, "None"),
    ],
)
def test_a_block_that_cannot_be_sent_is_an_error_that_names_it(block, named):
    with pytest.raises(XinferenceUnsupportedError, match=named):
        sent(block)


def test_nothing_given_is_changed():
    messages = [
        HumanMessage([{"type": "image_url", "image_url": {"url": "http://e.org/a.png", "detail": "low"}}]),
        AIMessage("x", tool_calls=[tool_call(name="f", args={"a": [1]}, id="1")]),
        ToolMessage("no", tool_call_id="1", status="error"),
    ]
    before = copy.deepcopy(messages)
    wire = messages_to_wire(messages)
    wire[0]["content"][0]["image_url"]["url"] = "changed"
    assert messages == before
