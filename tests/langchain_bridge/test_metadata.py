"""The metadata of an answer: tokens, finish reason, names, logprobs, profile, counts."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import warnings

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage, trim_messages
from langchain_core.tools import tool

from langchain_xinference_bridge import ChatXinference, XinferenceLLM
from langchain_xinference_bridge._messages import usage_from_wire
from langchain_xinference_bridge.errors import XinferenceUnsupportedError
from langchain_xinference_bridge.profile import profile_of
from tests.langchain_bridge.conftest import chat_on
from xinference_bridge import ModelInfo
from xinference_bridge.integration.token_counting import EstimateWarning
from xinference_bridge.protocol.chat.result import Usage


@pytest.mark.server
def test_an_answer_tells_where_it_came_from(chat):
    answer = chat.invoke("What is the capital of France?")
    told = answer.response_metadata
    assert told["finish_reason"] == "stop"
    assert told["model_name"] == chat.model_uid  # llama.cpp itself reports the path of its file
    assert told["model_provider"] == "xinference"
    assert told["id"]
    assert answer.usage_metadata["input_tokens"] > 10
    assert answer.usage_metadata["total_tokens"] == sum(
        answer.usage_metadata[name] for name in ("input_tokens", "output_tokens")
    )


@pytest.mark.server
def test_an_answer_cut_at_max_tokens_says_length_streamed_too(chat):
    # The transformers engine streams "length" and then "stop".
    assert chat.invoke("Count from 1 to 10.", max_tokens=4).response_metadata["finish_reason"] == "length"
    last = list(chat.stream("Count from 1 to 10.", max_tokens=4))[-1]
    assert last.response_metadata["finish_reason"] == "length"


def test_tokens_that_were_not_counted_are_not_told():
    assert usage_from_wire(None) is None
    usage = usage_from_wire(Usage(10, 5, 15, cached_tokens=0, reasoning_tokens=2))
    assert usage == {
        "input_tokens": 10,
        "output_tokens": 5,
        "total_tokens": 15,
        "input_token_details": {"cache_read": 0},
        "output_token_details": {"reasoning": 2},
    }


@pytest.mark.server
def test_logprobs_one_entry_a_token_streamed_or_not(connection):
    model = chat_on("tiny-chat", connection, logprobs=True, top_logprobs=2)
    whole = model.invoke("Name three colors.").response_metadata["logprobs"]["content"]
    assert len(whole[0]["top_logprobs"]) == 2
    first, *rest = model.stream("Name three colors.")
    streamed = (first + rest).response_metadata["logprobs"]["content"]
    # Only one of the two reports the end-of-turn token, as an empty text.
    assert [entry["token"] for entry in streamed if entry["token"]] == [
        entry["token"] for entry in whole if entry["token"]
    ]


@pytest.mark.server
@pytest.mark.parametrize("stop", ["5", ["5"], ["5", "7"]])
def test_stop_words_as_text_or_list_at_construction_and_at_the_call(connection, stop):
    question = "Count from 1 to 10."
    at_construction = chat_on("tiny-chat", connection, stop=stop).invoke(question)
    at_the_call = chat_on("tiny-chat", connection).invoke(question, stop=[stop] if isinstance(stop, str) else stop)
    assert at_construction.content == at_the_call.content
    assert "5" not in at_construction.content


@pytest.mark.server
def test_what_a_call_states_comes_before_what_was_bound_and_that_before_the_model(connection):
    model = chat_on("tiny-chat", connection, max_tokens=1)
    assert model.invoke("Count to 5.").usage_metadata["output_tokens"] == 1
    assert model.bind(max_tokens=2).invoke("Count to 5.").usage_metadata["output_tokens"] == 2
    assert model.bind(max_tokens=2).invoke("Count to 5.", max_tokens=3).usage_metadata["output_tokens"] == 3
    assert model.invoke("Count to 5.", generate_config={"max_tokens": 4}).usage_metadata["output_tokens"] == 4


@pytest.mark.server
def test_the_model_of_one_call_is_the_one_that_is_told(connection):
    model = chat_on("tiny-chat", connection)
    assert model.invoke("Hello", model="tiny-chat-hf").response_metadata["model_name"] == "tiny-chat-hf"
    assert model._get_ls_params(model="other")["ls_model_name"] == "other"


def test_what_is_traced():
    model = ChatXinference(model="m", temperature=0, max_tokens=5, stop="x", api_key="sk-secret")
    assert model._get_ls_params() == {
        "ls_provider": "xinference",
        "ls_model_name": "m",
        "ls_model_type": "chat",
        "ls_temperature": 0,
        "ls_max_tokens": 5,
        "ls_stop": ["x"],
    }
    assert "sk-secret" not in str(model._get_invocation_params())


# The profile


@pytest.mark.server
def test_the_profile_is_what_the_server_says_and_asked_once(connection):
    here = chat_on("tiny-chat", connection).profile
    there = chat_on("tiny-chat-hf", connection).profile
    assert here["max_input_tokens"] == there["max_input_tokens"] == 4096
    assert here["tool_calling"]
    assert there["tool_calling"]
    # llama.cpp accepts no schema together with tools, but enforces a forced call, with which an agent ends.
    assert (here["structured_output"], here["tool_choice"]) == (False, True)
    assert (there["structured_output"], there["tool_choice"]) == (False, False)
    assert not here["image_inputs"]
    assert not here["reasoning_output"]


def test_a_profile_that_nobody_looks_at_asks_nothing():
    model = ChatXinference("http://example.org", "m")
    assert model.profile
    assert "fetched on first access" in repr(model)


def test_a_profile_that_is_given_is_kept():
    assert ChatXinference(model="m", profile={"max_input_tokens": 7}).profile == {"max_input_tokens": 7}


@pytest.mark.parametrize(
    ("abilities", "true"),
    [
        (("chat",), set()),
        (("chat", "tools"), {"tool_calling", "tool_call_streaming"}),
        (("chat", "vision"), {"image_inputs", "image_url_inputs", "video_inputs"}),
        (("chat", "audio"), {"audio_inputs"}),
        (("chat", "omni"), {"image_inputs", "image_url_inputs", "audio_inputs", "video_inputs"}),
        (("chat", "hybrid"), {"reasoning_output"}),
        (("chat", "reasoning"), {"reasoning_output"}),
    ],
)
def test_what_each_ability_means(abilities, true):
    profile = profile_of(ModelInfo("m", "m", "LLM", abilities, engine="transformers"))
    assert {name for name, value in profile.items() if value is True} - {"text_inputs", "text_outputs"} == true


# Counting


@tool
def get_weather(city: str) -> str:
    """Get the weather for a city."""
    return city


@pytest.mark.server
def test_tokens_are_counted_by_the_server_where_its_engine_counts(connection):
    model = chat_on("tiny-chat-hf", connection, max_tokens=1)
    messages = [SystemMessage("You talk like a pirate."), HumanMessage("Hello")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counted = model.get_num_tokens_from_messages(messages)
        with_tools = model.get_num_tokens_from_messages(messages, tools=[get_weather])
        text = model.get_num_tokens("Hello Hello")
    assert counted == model.invoke(messages).usage_metadata["input_tokens"]
    assert with_tools > counted
    assert 0 < text < 8


@pytest.mark.server
def test_tokens_of_a_conversation_with_tools_are_those_that_its_call_uses(connection):
    model = chat_on("tiny-chat-hf", connection).bind_tools([get_weather])
    question = HumanMessage("What is the weather in Paris?")
    called = model.invoke([question])
    said = ToolMessage("Sunny, 24 degrees.", tool_call_id=called.tool_calls[0]["id"])
    messages = [question, called, said]
    counted = model.get_num_tokens_from_messages(messages, tools=[get_weather])
    assert counted == model.invoke(messages).usage_metadata["input_tokens"]
    without = [question, called.model_copy(update={"tool_calls": []}), said]
    assert counted > model.get_num_tokens_from_messages(without, tools=[get_weather])


@pytest.mark.server
def test_system_messages_alone_are_counted_and_no_messages_are_no_tokens(connection):
    # 4.1.0 answers "Please specify the prompt" to a count of system messages alone, which trim_messages asks for.
    model = chat_on("tiny-chat-hf", connection)
    system = SystemMessage("You talk like a pirate.")
    assert model.get_num_tokens_from_messages([]) == 0
    assert 5 < model.get_num_tokens_from_messages([system]) < 30
    messages = [system, HumanMessage("Hello " * 50), AIMessage("Ahoy!"), HumanMessage("Hello")]
    trimmed = trim_messages(messages, max_tokens=60, token_counter=model, include_system=True, start_on="human")
    assert trimmed == [system, messages[-1]]


def test_tokens_of_a_picture_are_an_estimate_that_says_why():
    model = ChatXinference("http://example.org", "m")
    picture = {"type": "image", "url": "data:image/png;base64,AA=="}
    with pytest.warns(EstimateWarning, match="cannot count the tokens of a content block of type 'image_url'"):
        assert model.get_num_tokens_from_messages([HumanMessage(["What is this?", picture])]) > 0


@pytest.mark.server
@pytest.mark.parametrize("kind", [ChatXinference, XinferenceLLM])
def test_elsewhere_the_number_is_an_estimate_and_says_so(connection, kind):
    model = kind(model="tiny-chat", connection=connection)
    with pytest.warns(EstimateWarning, match="estimate: .* does not expose chat token counting"):
        assert 2 <= model.get_num_tokens_from_messages([HumanMessage("Hello, how are you?")]) < 20
    with pytest.warns(EstimateWarning):
        assert model.get_num_tokens("four words of text") == 5


def test_token_ids_are_the_callers_own_or_an_error():
    with pytest.raises(XinferenceUnsupportedError, match="custom_get_token_ids"):
        ChatXinference(model="m").get_token_ids("x")
    assert ChatXinference(model="m", custom_get_token_ids=lambda text: [1, 2]).get_num_tokens("x") == 2


def test_a_tokenizer_of_the_callers_own_counts_messages_too():
    model = ChatXinference(model="m", custom_get_token_ids=lambda text: text.split())
    assert model.get_num_tokens_from_messages([HumanMessage("four words of text")]) >= 4
