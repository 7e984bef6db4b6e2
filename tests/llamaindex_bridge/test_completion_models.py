"""A model that only completes text: what takes a chat is refused by name, and messages become one prompt."""

# mypy: no-check-untyped-defs

from __future__ import annotations

import asyncio

import pytest
from llama_index.core import PromptTemplate
from llama_index.core.base.llms.generic_utils import messages_to_prompt
from llama_index.core.base.llms.types import (
    ChatMessage,
    CitableBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from llamaindex_xinference_bridge import XinferenceLLM
from llamaindex_xinference_bridge._requests import completion_call
from tests.llamaindex_bridge.tools import ADD, Person
from xinference_bridge.errors import XinferenceUnsupportedError

HELLO = [ChatMessage("Hello")]
ASK = PromptTemplate("Who?")


async def _drained(stream):
    return [piece async for piece in await stream]


WAYS = {
    "chat": lambda llm, messages, **more: llm.chat(messages, **more),
    "achat": lambda llm, messages, **more: asyncio.run(llm.achat(messages, **more)),
    "stream_chat": lambda llm, messages, **more: list(llm.stream_chat(messages, **more)),
    "astream_chat": lambda llm, messages, **more: asyncio.run(_drained(llm.astream_chat(messages, **more))),
}
OBJECTS = {
    "structured_predict": lambda llm: llm.structured_predict(Person, ASK),
    "astructured_predict": lambda llm: asyncio.run(llm.astructured_predict(Person, ASK)),
    "stream_structured_predict": lambda llm: list(llm.stream_structured_predict(Person, ASK)),
    "astream_structured_predict": lambda llm: asyncio.run(_drained(llm.astream_structured_predict(Person, ASK))),
}
TOOLS = {
    "chat_with_tools": lambda llm: llm.chat_with_tools([ADD], "Hi"),
    "achat_with_tools": lambda llm: asyncio.run(llm.achat_with_tools([ADD], "Hi")),
    "stream_chat_with_tools": lambda llm: list(llm.stream_chat_with_tools([ADD], "Hi")),
    "astream_chat_with_tools": lambda llm: asyncio.run(_drained(llm.astream_chat_with_tools([ADD], "Hi"))),
    "complete": lambda llm: llm.complete("Hi", tools=[ADD]),
}


@pytest.fixture
def gen():
    return XinferenceLLM("gen", "http://127.0.0.1:9", is_chat_model=False, context_window=1024, max_retries=0)


@pytest.mark.parametrize("way", OBJECTS)
def test_an_object_is_refused_with_the_model_s_name_and_the_way_that_is_left(gen, way):
    words = r"'gen' only completes text, and takes no structured_output: use a chat model, or pydantic_program_mode="
    with pytest.raises(XinferenceUnsupportedError, match=words):
        OBJECTS[way](gen)


@pytest.mark.parametrize("way", TOOLS)
def test_tools_are_refused_with_the_model_s_name_and_the_way_that_is_left(gen, way):
    words = r"'gen' only completes text, and takes no tools: use a chat model, or a ReActAgent"
    with pytest.raises(XinferenceUnsupportedError, match=words):
        TOOLS[way](gen)


@pytest.mark.parametrize("way", WAYS)
def test_a_choice_of_tools_is_refused_and_no_tools_are_none(gen, way):
    with pytest.raises(XinferenceUnsupportedError, match="takes no tool_choice"):
        WAYS[way](gen, HELLO, tool_choice="required")
    assert completion_call({}, {"tools": [], "tool_choice": None, "structured_output": None}, "gen")[0] == {}


CALL = ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 1})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("message", "what"),
    [
        (ChatMessage(role="assistant", blocks=[CALL]), "The ToolCallBlock"),
        (ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": [{"id": "c1"}]}), "additional_kwa"),
        (ChatMessage(role="user", blocks=[ImageBlock(image=b"png")]), "The ImageBlock"),
        (
            ChatMessage(blocks=[CitableBlock(title="t", source="s", content=[TextBlock(text="q")])]),
            "The CitableBlock",
        ),
    ],
    ids=["call", "call elsewhere", "image", "quote"],
)
def test_what_no_prompt_can_hold_is_refused_by_name(gen, way, message, what):
    with pytest.raises(XinferenceUnsupportedError, match=f"{what}.* of message 1 cannot be sent"):
        WAYS[way](gen, [*HELLO, message])


@pytest.mark.parametrize("way", WAYS)
def test_a_message_without_text_is_empty_in_the_prompt_and_thoughts_are_left_out(way):
    prompts = []

    def kept(messages):
        prompts.append(messages_to_prompt(messages))
        raise LookupError

    llm = XinferenceLLM("gen", is_chat_model=False, context_window=9, messages_to_prompt=kept, server_url="http://h:1")
    thoughts = ChatMessage(role="assistant", blocks=[ThinkingBlock(content="hm")])
    both = ChatMessage(role="assistant", blocks=[ThinkingBlock(content="hm"), TextBlock(text="Yes")])
    with pytest.raises(LookupError):
        WAYS[way](llm, [*HELLO, thoughts, ChatMessage(role="user", content=None), both])
    assert prompts == ["user: Hello\nassistant: \nuser: \nassistant: Yes\nassistant: "]
    assert thoughts.blocks == [ThinkingBlock(content="hm")]  # the caller's message is as it was
