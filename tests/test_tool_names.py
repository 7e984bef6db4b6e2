"""A tool message has the name of the call that it answers, in both bridges."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, TextBlock, ToolCallBlock

from langchain_xinference_bridge._messages import messages_to_wire as from_langchain
from llamaindex_xinference_bridge._messages import messages_to_wire as from_llamaindex

ADD, SUB = ("x1", "add"), ("x2", "sub")
Turn = list[tuple[str, str]] | tuple[str, str | None]


def langchain(history: list[Turn]):
    messages: list[BaseMessage] = [HumanMessage("Go.")]
    for turn in history:
        if isinstance(turn, list):
            messages.append(AIMessage("", tool_calls=[{"id": i, "name": name, "args": {}} for i, name in turn]))
        else:
            messages.append(ToolMessage("4", tool_call_id=turn[0], name=turn[1]))
    return from_langchain(messages)


def llamaindex(history: list[Turn]):
    messages = [ChatMessage("Go.", role="user")]
    for turn in history:
        if isinstance(turn, list):
            blocks = [ToolCallBlock(tool_call_id=i, tool_name=name, tool_kwargs={}) for i, name in turn]
            messages.append(ChatMessage(role="assistant", blocks=blocks))
        else:
            kwargs = {"tool_call_id": turn[0]} | ({"name": turn[1]} if turn[1] else {})
            messages.append(ChatMessage(role="tool", blocks=[TextBlock(text="4")], additional_kwargs=kwargs))
    return from_llamaindex(messages)


@pytest.mark.parametrize("bridge", [langchain, llamaindex])
@pytest.mark.parametrize(
    ("history", "names"),
    [
        ([[ADD], ("x1", None)], ["add"]),
        ([[ADD, SUB], ("x2", None), ("x1", None)], ["sub", "add"]),
        ([[ADD], ("x1", "sum")], ["sum"]),  # the user's own name stays
        ([[ADD], ("x9", None)], [None]),
        ([("x1", None), [ADD]], [None]),  # answered before it was called
        ([[ADD], ("x1", None), [("x1", "sub")], ("x1", None)], ["add", "sub"]),  # numbered anew in each answer
    ],
)
def test_a_message_of_a_tool_carries_the_name_of_the_call_it_answers(bridge, history, names):
    assert [message.get("name") for message in bridge(history) if message["role"] == "tool"] == names


@pytest.mark.parametrize("bridge", [langchain, llamaindex])
def test_a_call_that_cannot_be_read_names_its_answer_too(bridge):
    if bridge is langchain:
        broken = {"id": "x1", "name": "add", "args": '{"a', "error": "cut"}
        wire = from_langchain([AIMessage("", invalid_tool_calls=[broken]), ToolMessage("4", tool_call_id="x1")])
    else:
        call = ToolCallBlock(tool_call_id="x1", tool_name="add", tool_kwargs='{"a')
        answer = ChatMessage("4", role="tool", additional_kwargs={"tool_call_id": "x1"})
        wire = from_llamaindex([ChatMessage(role="assistant", blocks=[call]), answer])
    assert wire[1]["name"] == "add"
