"""Tools: offered, forced, whole and streamed, on an engine that parses calls and on one that returns them as text."""

from __future__ import annotations

import logging

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools import FunctionTool

from llamaindex_xinference_bridge import XinferenceLLM
from llamaindex_xinference_bridge._responses import GrowingChat, chat_response
from llamaindex_xinference_bridge._tools import offered_alone, tool_keywords
from tests.llamaindex_bridge.test_messages import answer
from tests.llamaindex_bridge.tools import ADD, MULTIPLY, WEATHER
from xinference_bridge.errors import XinferenceBadRequestError, XinferenceUnsupportedError
from xinference_bridge.protocol.chat.result import ChatDelta
from xinference_bridge.protocol.chat.tool_calls import ToolCall, ToolCallDelta

PARIS = "What is the weather in Paris?"
BOTH = "What is the weather in Paris and in London?"


def called(llm, response, **keywords):
    return [(call.tool_name, call.tool_kwargs) for call in llm.get_tool_calls_from_response(response, **keywords)]


@pytest.mark.server
def test_a_tool_is_called_and_its_answer_understood(either_llm):
    asked = ChatMessage(role="user", content=PARIS)
    response = either_llm.chat_with_tools([WEATHER], chat_history=[asked])
    assert called(either_llm, response) == [("get_weather", {"city": "Paris"})]
    assert response.additional_kwargs["finish_reason"] == "tool_calls"
    block = response.message.blocks[-1]
    assert isinstance(block, ToolCallBlock)
    result = ChatMessage(role="tool", content="sunny", additional_kwargs={"tool_call_id": block.tool_call_id})
    final = either_llm.chat_with_tools([WEATHER], chat_history=[asked, response.message, result])
    assert final.message.content == "It is sunny in Paris."
    assert called(either_llm, final, error_on_no_tool_call=False) == []


@pytest.mark.server
def test_two_calls_in_one_answer_where_the_caller_allows_them(either_llm):
    response = either_llm.chat_with_tools([WEATHER], BOTH, allow_parallel_tool_calls=True)
    assert called(either_llm, response) == [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "London"})]
    *_, last = either_llm.stream_chat_with_tools([WEATHER], BOTH, allow_parallel_tool_calls=True)
    assert called(either_llm, last) == called(either_llm, response)


@pytest.mark.server
def test_one_call_is_left_where_the_caller_wants_one(either_llm):
    response = either_llm.chat_with_tools([WEATHER], BOTH)
    assert called(either_llm, response) == [("get_weather", {"city": "Paris"})]
    *_, last = either_llm.stream_chat_with_tools([WEATHER], BOTH)
    assert called(either_llm, last) == called(either_llm, response)


@pytest.mark.server
def test_a_streamed_call_is_the_whole_one(either_llm):
    # llama.cpp streams parsed fragments, transformers `<tool_call>{…}</tool_call>` as text.
    whole = either_llm.chat_with_tools([WEATHER], PARIS)
    parts = list(either_llm.stream_chat_with_tools([WEATHER], PARIS))
    assert called(either_llm, parts[-1]) == called(either_llm, whole)
    assert parts[-1].message.content == whole.message.content
    assert "".join(part.delta for part in parts) == (whole.message.content or "")
    assert parts[-1].additional_kwargs["finish_reason"] == "tool_calls"
    for part in parts:  # agents look at every one of them
        either_llm.get_tool_calls_from_response(part, error_on_no_tool_call=False)


@pytest.mark.server
async def test_tools_are_called_by_awaiting_too(either_llm):
    response = await either_llm.achat_with_tools([WEATHER], PARIS)
    assert called(either_llm, response) == [("get_weather", {"city": "Paris"})]
    parts = [part async for part in await either_llm.astream_chat_with_tools([WEATHER], PARIS)]
    assert called(either_llm, parts[-1]) == [("get_weather", {"city": "Paris"})]


@pytest.mark.server
def test_a_forced_call_is_made_where_the_engine_enforces_it(llm):
    # Which numbers is up to the model; that it is this call, and whole, is not.
    for response in (
        llm.chat_with_tools([MULTIPLY], "What is 3 times 4?", tool_required=True),
        llm.chat_with_tools([WEATHER, MULTIPLY], "What is 3 times 4?", tool_choice="multiply"),
    ):
        [(name, arguments)] = called(llm, response)
        assert (name, set(arguments)) == ("multiply", {"a", "b"})


@pytest.mark.server
def test_a_forced_call_that_the_engine_did_not_make_is_an_error(connection):
    llm = XinferenceLLM("tiny-chat-hf", connection=connection, temperature=0)
    with pytest.raises(XinferenceUnsupportedError, match=r"a tool had to be called.*transformers does not enforce"):
        llm.chat_with_tools([WEATHER], "Hello", tool_required=True)


@pytest.mark.server
def test_predict_and_call_carries_the_call_out(either_llm):
    answer = either_llm.predict_and_call([MULTIPLY], "What is 3 times 4?")
    assert answer.response == "12"
    assert answer.sources[0].raw_input["kwargs"] == {"a": 3, "b": 4}


@pytest.mark.server
async def test_apredict_and_call_carries_both_calls_out(either_llm):
    answer = await either_llm.apredict_and_call([WEATHER], BOTH, allow_parallel_tool_calls=True)
    assert [source.raw_output for source in answer.sources] == ["sunny", "rain"]


def test_the_words_for_a_choice_reach_the_server_s():
    llm = XinferenceLLM("m", "http://127.0.0.1:9")
    history = [ChatMessage(role="user", content="Hi")]
    keywords = llm._prepare_chat_with_tools([ADD], chat_history=history, tool_choice="auto", temperature=0)
    assert keywords["tool_choice"] == "auto"
    assert keywords["temperature"] == 0
    assert keywords["parallel_tool_calls"] is False
    required = llm._prepare_chat_with_tools([ADD], "Go", chat_history=history, tool_required=True)
    assert required["tool_choice"] == "required"
    assert [message.content for message in required["messages"]] == ["Hi", "Go"]
    assert len(history) == 1  # the caller's list stays as it is
    assert "tools" not in llm._prepare_chat_with_tools([], "Hi", tool_required=True)


def test_a_choice_that_names_no_tool_is_an_error():
    llm = XinferenceLLM("m", "http://127.0.0.1:9", is_chat_model=True)
    said = "tool_choice='divide' must be auto, none, required or the name of a tool: add"
    with pytest.raises(XinferenceBadRequestError, match=said):
        llm.chat_with_tools([ADD], "Hi", tool_choice="divide")


def test_a_tool_travels_with_its_schema():
    (tool,) = tool_keywords([ADD], None, None, allow_parallel_tool_calls=True, tool_required=False, tool_choice=None)[
        "tools"
    ]
    assert tool["function"]["name"] == "add"
    assert tool["function"]["parameters"]["required"] == ["a", "b"]


def test_no_call_is_an_error_for_who_needs_one():
    llm = XinferenceLLM("m", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match="Expected a tool call, but 'm' answered in text: 'Hello'"):
        llm.get_tool_calls_from_response(chat_response(answer(text="Hello")))


BROKEN = ToolCall("c1", "add", '{"a": 5', error="the arguments are not JSON")


def test_a_call_that_cannot_be_read_names_no_tool_and_says_why(caplog):
    llm = XinferenceLLM("m", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING):
        (selection,) = llm.get_tool_calls_from_response(
            chat_response(answer(tool_calls=[BROKEN])), error_on_no_tool_call=False
        )
    name = "add (not called: the arguments are not JSON)"
    assert selection == ToolSelection(tool_id="c1", tool_name=name, tool_kwargs={})
    assert "The model's call of 'add' is not carried out: the arguments are not JSON" in caplog.text


def test_a_call_that_cannot_be_read_is_an_error_for_who_needs_one():
    llm = XinferenceLLM("m", "http://127.0.0.1:9")
    cut = chat_response(answer(tool_calls=[BROKEN], finish_reason="length"))
    with pytest.raises(XinferenceUnsupportedError, match=r"'add' is not carried out: .*reached max_tokens") as raised:
        llm.get_tool_calls_from_response(cut)
    assert raised.value.body == '{"a": 5'


def test_a_cut_call_of_another_integration_is_not_completed():
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 5'}}
    message = ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": [call]})
    llm = XinferenceLLM("m", "http://127.0.0.1:9")
    with pytest.raises(XinferenceUnsupportedError, match="'add' is not carried out"):
        llm.get_tool_calls_from_response(ChatResponse(message=message))


def delete(path: str = "everything") -> str:
    """Delete a file."""
    raise AssertionError(path)


@pytest.mark.server
@pytest.mark.parametrize("wanted", [True, False])
async def test_predict_and_call_never_carries_out_a_call_that_was_cut_off(llm, wanted):
    cut = FunctionTool.from_defaults(delete, name="get_weather")
    keywords = {"max_tokens": 14, "error_on_no_tool_call": wanted}
    with pytest.raises(XinferenceUnsupportedError, match="get_weather"):
        llm.predict_and_call([cut], PARIS, **keywords)
    with pytest.raises(XinferenceUnsupportedError, match="get_weather"):
        await llm.apredict_and_call([cut], PARIS, **keywords)


def test_a_call_of_a_tool_that_was_not_offered_is_an_error_of_ours():
    said = "called 'add', which is none of the tools: 'get_weather'"
    with pytest.raises(XinferenceUnsupportedError, match=said), offered_alone([WEATHER]):
        raise KeyError("add")


def test_a_growing_call_shows_the_arguments_known_so_far():
    growing = GrowingChat()
    fragments = [
        ToolCallDelta(0, "c1", "add", ""),
        ToolCallDelta(0, None, None, '{"a": 5, "b'),
        ToolCallDelta(0, None, None, '": 7}'),
    ]
    llm = XinferenceLLM("m", "http://127.0.0.1:9")
    seen = []
    responses: list[ChatResponse] = []
    for fragment in fragments:
        responses.append(growing.take(ChatDelta(tool_calls=[fragment])))
        seen.append(llm.get_tool_calls_from_response(responses[-1])[0].tool_kwargs)
    assert seen == [{}, {"a": 5}, {"a": 5, "b": 7}]
    assert [r.message.additional_kwargs["tool_calls"][0]["function"]["arguments"] for r in responses] == [
        "",
        '{"a": 5, "b',
        '{"a": 5, "b": 7}',
    ]


def test_calls_that_came_from_elsewhere_are_found_in_additional_kwargs_too():
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 5}'}}
    response = ChatResponse(message=ChatMessage(role="assistant", additional_kwargs={"tool_calls": [call]}))
    llm = XinferenceLLM("m", "http://127.0.0.1:9")
    assert called(llm, response) == [("add", {"a": 5})]
