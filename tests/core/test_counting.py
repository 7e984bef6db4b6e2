"""A chat's messages in the format of the token counting endpoint, which is Anthropic's. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from xinference_bridge import XinferenceUnsupportedError
from xinference_bridge.protocol.chat.messages import WireMessage, WireToolCall
from xinference_bridge.protocol.chat.token_count import counted_messages


def call(arguments: Any) -> WireToolCall:
    return {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


def test_plain_messages_stay_what_they_are():
    messages: list[WireMessage] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert counted_messages(messages) == messages


def test_parts_of_text_are_one_text():
    parts = [{"type": "text", "text": "Hello"}, {"type": "text", "text": " there"}]
    assert counted_messages([{"role": "user", "content": parts}]) == [{"role": "user", "content": "Hello there"}]


def test_what_a_tool_said_is_a_users_block():
    said: WireMessage = {"role": "tool", "tool_call_id": "1", "content": "Sunny."}
    result = {"type": "tool_result", "tool_use_id": "1", "content": "Sunny."}
    assert counted_messages([said]) == [{"role": "user", "content": [result]}]


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ('{"city": "Paris"}', {"city": "Paris"}),
        ({"city": "Paris"}, {"city": "Paris"}),
        ('{"city": ', {"": '{"city": '}),
        ("[1]", {"": [1]}),
        (None, {}),
    ],
)
def test_a_call_is_a_block_beside_the_words(arguments, read):
    use = {"type": "tool_use", "id": "1", "name": "get_weather", "input": read}
    asked: WireMessage = {"role": "assistant", "content": "Let me see.", "tool_calls": [call(arguments)]}
    words = {"type": "text", "text": "Let me see."}
    assert counted_messages([asked]) == [{"role": "assistant", "content": [words, use]}]
    silent: WireMessage = {"role": "assistant", "content": None, "tool_calls": [call(arguments)]}
    assert counted_messages([silent]) == [{"role": "assistant", "content": [use]}]


def test_system_messages_alone_are_counted_with_an_empty_question():
    system: WireMessage = {"role": "system", "content": "Be brief."}
    assert counted_messages([system]) == [system, {"role": "user", "content": ""}]
    assert counted_messages([]) == []


def test_a_picture_is_not_counted():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with pytest.raises(XinferenceUnsupportedError, match="type 'image_url'"):
        counted_messages([{"role": "user", "content": [picture]}])
