"""Tools and tool choice: the accepted forms, and the request to each engine."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel
from typing_extensions import TypedDict

from langchain_xinference_bridge import ChatXinference
from langchain_xinference_bridge.errors import (
    XinferenceBadRequestError,
    XinferenceConfigurationError,
    XinferenceContextOverflowError,
    XinferenceUnsupportedError,
)
from tests.langchain_bridge.conftest import chat_on


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


class Multiply(BaseModel):
    """Multiply two numbers."""

    a: float
    b: float


class Divide(TypedDict):
    """Divide a by b."""

    a: Annotated[float, ..., "above"]
    b: Annotated[float, ..., "below"]


@tool
def get_weather(city: str) -> str:
    """Get the weather for a city."""
    return f"It's sunny in {city}."


@tool
def get_population(city: str) -> int:
    """Get the number of people who live in a city."""
    return len(city)


FUNCTION = {"type": "function", "function": {"name": "ping", "description": "Ping.", "parameters": {"type": "object"}}}


def bound(**keywords: Any) -> dict[str, Any]:
    runnable = ChatXinference(model="m").bind_tools([add, Multiply, Divide, get_weather, FUNCTION], **keywords)
    return dict(runnable.kwargs)  # type: ignore[attr-defined]


class Called(BaseModel):
    """Call a function."""

    function: Callable[[int], int]


NO_TOOLS = [
    (5, "tools is 5.*list of tools"),
    ("get_weather", "tools is of type str.*list of tools"),
    ({"type": "function"}, "tools is a dict with the keys 'type'.*in a list"),
    (get_weather, "in a list"),
    (Multiply, "in a list"),
    (add, "in a list"),
    ([5], r"tools\[0\] is 5.*Tools are functions"),
    ([get_weather, "x"], r"tools\[1\] is of type str"),
    ([{}], r"tools\[0\] is an empty dict"),
    ([None], r"tools\[0\] is None"),
    ([{"type": "function"}], r"tools\[0\].*lacks the name of its function: write"),
    ([{"type": "function", "name": "f", "parameters": {}}], "lacks the name of its function: write"),
    ([{"type": "function", "function": {"parameters": {}}}], "lacks the name of its function: write"),
    ([{"type": "function", "function": 5}], "lacks the name of its function: write"),
    ([{"name": 5}], "lacks the name of its function: write"),
    ([{"title": ["x"], "properties": {}}], "lacks the name of its function: write"),
    ([{"name": "f", "parameters": 5}], r"'f'.*its parameters must be a JSON schema"),
    ([{"title": "f", "properties": 5}], r"'f'.*its parameters\.properties must be an object"),
    ([Called], "cannot be used as a tool.*JSON"),
]


@pytest.mark.parametrize(("tools", "why"), [*NO_TOOLS, (None, "tools is None.*list of tools")])
def test_what_is_no_tool_is_named_when_it_is_bound(tools, why):
    with pytest.raises(XinferenceConfigurationError, match=f"(?s){why}"):
        ChatXinference(model="m").bind_tools(tools)


@pytest.mark.parametrize(("tools", "why"), NO_TOOLS)
async def test_what_is_no_tool_is_named_when_it_is_passed_to_a_call(tools, why):
    chat = ChatXinference("http://127.0.0.1:1", "m")
    with pytest.raises(XinferenceConfigurationError, match=f"(?s){why}"):
        chat.invoke("x", tools=tools)
    with pytest.raises(XinferenceConfigurationError, match=f"(?s){why}"):
        await chat.ainvoke("x", tools=tools)


@pytest.mark.parametrize("tool", [{"type": "web_search"}, {"type": "web_search_preview"}])
def test_a_tool_of_another_provider_is_still_called_so(tool):
    with pytest.raises(XinferenceUnsupportedError, match="runs on its provider's servers"):
        ChatXinference(model="m").bind_tools([tool])


def test_a_strict_function_needs_no_parameters():
    (wire,) = ChatXinference(model="m").bind_tools([{"name": "f"}], strict=True).kwargs["tools"]
    assert (wire["function"]["name"], wire["function"]["strict"]) == ("f", True)


def test_tools_in_every_form():
    tools = bound()["tools"]
    assert [entry["function"]["name"] for entry in tools] == ["add", "Multiply", "Divide", "get_weather", "ping"]
    assert tools[0]["function"]["parameters"]["required"] == ["a", "b"]
    assert "tool_choice" not in bound()


def test_a_structured_tool():
    made = StructuredTool.from_function(add, name="plus", description="Plus.")
    assert ChatXinference(model="m").bind_tools([made]).kwargs["tools"][0]["function"]["name"] == "plus"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("any", "required"),
        ("required", "required"),
        (True, "required"),
        ("add", {"type": "function", "function": {"name": "add"}}),
        ({"type": "function", "function": {"name": "add"}}, {"type": "function", "function": {"name": "add"}}),
        ({"type": "tool", "name": "add"}, {"type": "function", "function": {"name": "add"}}),
    ],
)
def test_a_choice_in_every_form(written, meant):
    assert bound(tool_choice=written)["tool_choice"] == meant


@pytest.mark.parametrize("unset", [None, False])
def test_no_choice_is_left_to_the_server(unset):
    assert "tool_choice" not in bound(tool_choice=unset)


def test_a_choice_of_a_tool_that_is_not_there_lists_those_that_are():
    with pytest.raises(XinferenceBadRequestError, match=r"'subtract'.*add"):
        bound(tool_choice="subtract")


def test_a_tool_that_another_provider_runs_is_refused():
    with pytest.raises(XinferenceUnsupportedError, match="web_search"):
        ChatXinference(model="m").bind_tools([{"type": "web_search_preview"}])


@pytest.mark.server
def test_a_conversation_with_a_tool(chat):
    model = chat.bind_tools([get_weather])
    question = HumanMessage("What is the weather in Paris?")
    call = model.invoke([question])
    assert call.content == ""
    assert call.response_metadata["finish_reason"] == "tool_calls"
    [made] = call.tool_calls
    assert (made["name"], made["args"]) == ("get_weather", {"city": "Paris"})
    answer = model.invoke([question, call, ToolMessage("It's sunny.", tool_call_id=made["id"])])
    assert answer.content == "It is sunny in Paris."


@pytest.mark.server
def test_two_calls_at_once(chat):
    answer = chat.bind_tools([get_weather]).invoke("What is the weather in Paris and in London?")
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [
        ("get_weather", {"city": "Paris"}),
        ("get_weather", {"city": "London"}),
    ]
    assert len({call["id"] for call in answer.tool_calls}) == 2


@pytest.mark.server
def test_tools_given_with_the_call_itself(chat):
    answer = chat.invoke("What is the weather in Paris?", tools=[get_weather], tool_choice="any")
    assert [call["name"] for call in answer.tool_calls] == ["get_weather"]


@pytest.mark.server
def test_tool_choice_none_calls_nothing(chat):
    assert (
        chat.bind_tools([get_weather], tool_choice="none").invoke("Name three colors.").content
        == "Red, green and blue."
    )


@pytest.mark.server
def test_a_call_that_the_model_writes_against_tool_choice_none_is_text(chat):
    # Neither engine keeps the model from it: it was taught to call here.
    answer = chat.bind_tools([get_weather], tool_choice="none").invoke("What is the weather in Paris?")
    assert answer.tool_calls == answer.invalid_tool_calls == []
    assert '"get_weather"' in answer.content


@pytest.mark.server
def test_what_a_tool_said_may_have_more_bytes_than_the_context_has_tokens(connection):
    # transformers would cut a prompt that is too long in silence, so one that may be is counted first, tools and all.
    model = chat_on("tiny-chat-hf", connection, max_tokens=4).bind_tools([get_weather])
    made = {"name": "get_weather", "args": {"city": "Paris"}, "id": "1"}
    said = ToolMessage("Sunny, 24 degrees. " * 250, tool_call_id="1")
    answer = model.invoke(["What is the weather in Paris?", AIMessage("", tool_calls=[made]), said])
    assert 2000 < answer.usage_metadata["input_tokens"] < 4096
    with pytest.raises(XinferenceContextOverflowError, match="4096 tokens"):
        model.invoke(["And now?", AIMessage("", tool_calls=[made]), said, AIMessage("", tool_calls=[made]), said])


@pytest.mark.server
def test_the_tool_that_was_named_is_called_and_no_other(chat):
    # Asked for one of two tools by name, llama.cpp calls the other: it gets the named one alone.
    model = chat.bind_tools([get_population, get_weather], tool_choice="get_weather")
    assert [call["name"] for call in model.invoke("What is the weather in Paris?").tool_calls] == ["get_weather"]


@pytest.mark.server
def test_a_forced_choice_that_was_not_followed_is_an_error(connection):
    model = chat_on("tiny-chat-hf", connection).bind_tools([get_weather], tool_choice="any")
    with pytest.raises(XinferenceUnsupportedError, match=r"had to be called.*transformers does not enforce"):
        model.invoke("Name three colors.")


@pytest.mark.server
def test_a_forced_choice_is_followed_where_the_engine_enforces_it(connection):
    model = chat_on("smollm2", connection).bind_tools([get_weather], tool_choice="any")
    [call] = model.invoke("What is the weather in Atlantis?", frequency_penalty=0.5).tool_calls
    assert (call["name"], set(call["args"])) == ("get_weather", {"city"})


@pytest.mark.server
def test_a_call_that_could_not_be_read_may_stand_in_a_history(chat):
    question = HumanMessage("What is the weather in Paris?")
    broken = {"name": "get_weather", "args": '{"city": ', "id": "1", "error": "cut off", "type": "invalid_tool_call"}
    history = [
        question,
        AIMessage("", invalid_tool_calls=[broken]),
        ToolMessage("the arguments are not JSON", tool_call_id="1", status="error"),
    ]
    assert isinstance(chat.bind_tools([get_weather], max_tokens=20).invoke(history), AIMessage)
