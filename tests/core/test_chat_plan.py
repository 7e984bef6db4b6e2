"""The request for each engine, what is rejected before sending, and the checks of an answer. Pure."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from xinference_bridge import (
    XinferenceBadRequestError,
    XinferenceConfigurationError,
    XinferenceContextOverflowError,
    XinferenceError,
    XinferenceServerError,
    XinferenceUnsupportedError,
)
from xinference_bridge.integration import parameters
from xinference_bridge.protocol.chat import context_length
from xinference_bridge.protocol.chat import plan as chat_plan
from xinference_bridge.protocol.chat.messages import WireMessage, WireTool
from xinference_bridge.protocol.chat.plan import ChatPlan, needs_description, plan_chat
from xinference_bridge.protocol.chat.request import ChatCall, NamedTool, StructuredOutput, prompt_bytes
from xinference_bridge.protocol.chat.result import ChatResult
from xinference_bridge.protocol.chat.tool_calls import ToolCall
from xinference_bridge.protocol.http import JSON
from xinference_bridge.protocol.model_info import ModelInfo

HELLO: list[WireMessage] = [{"role": "user", "content": "Hello"}]
SCHEMA: JSON = {"type": "object", "properties": {"name": {"type": "string"}}}
WAV = "data:audio/wav;base64,QQ=="
ENGINES = ("llama.cpp", "transformers", "vllm", "sglang", "mlx")


def tool(name: str) -> WireTool:
    return {"type": "function", "function": {"name": name, "description": "", "parameters": {"type": "object"}}}


def body_of(plan: ChatPlan) -> JSON:
    assert plan.request.json is not None
    return dict(plan.request.json)


def model(engine: str = "llama.cpp", *abilities: str, context: int | None = 4096) -> ModelInfo:
    return ModelInfo("m", "m", "LLM", abilities or ("generate", "chat", "tools"), context_length=context, engine=engine)


def sent(call: ChatCall, engine: str = "llama.cpp", **options) -> JSON:
    return body_of(plan_chat("m", call, model(engine), stream=False, **options))


def answered(*names: str, text: str = "", reason: str = "stop") -> ChatResult:
    calls = [ToolCall(id=f"call-{name}", name=name, arguments="{}") for name in names]
    return ChatResult(text, "", calls, reason, None, None, None, None, None, None, {})


def test_a_plain_call_sends_nothing_that_was_not_said():
    assert sent(ChatCall(HELLO)) == {"model": "m", "messages": HELLO}


def test_a_stream_asks_for_usage_unless_told_otherwise():
    streamed = body_of(plan_chat("m", ChatCall(HELLO), None, stream=True))
    assert (streamed["stream"], streamed["stream_options"]) == (True, {"include_usage": True})
    assert "stream_options" not in body_of(plan_chat("m", ChatCall(HELLO), None, stream=True, stream_usage=False))
    own = ChatCall(HELLO, {"stream_options": {"include_usage": False}})
    assert body_of(plan_chat("m", own, None, stream=True))["stream_options"] == {"include_usage": False}


# Tools


@pytest.mark.parametrize("engine", ["transformers", "mlx"])
def test_a_tool_by_name_is_the_only_one_sent_since_no_engine_honours_the_name(engine: str):
    body = sent(ChatCall(HELLO, tools=[tool("alpha"), tool("beta")], tool_choice=NamedTool("alpha")), engine)
    assert [entry["function"]["name"] for entry in body["tools"]] == ["alpha"]
    assert body["tool_choice"] == "required"


@pytest.mark.parametrize("engine", ENGINES)
def test_the_choice_of_no_tool_sends_no_tools_since_the_engines_would_call_one(engine: str):
    body = sent(ChatCall(HELLO, tools=[tool("alpha")], tool_choice="none"), engine)
    assert not {"tools", "tool_choice"} & set(body)


def test_auto_is_sent_as_said():
    assert sent(ChatCall(HELLO, tools=[tool("alpha")], tool_choice="auto"))["tool_choice"] == "auto"
    assert "tool_choice" not in sent(ChatCall(HELLO, tools=[tool("alpha")]))


@pytest.mark.parametrize("choice", ["required", NamedTool("alpha")])
def test_a_forced_tool_that_was_not_called_is_an_error_and_not_an_answer(choice):
    call = ChatCall(HELLO, tools=[tool("alpha"), tool("beta")], tool_choice=choice)
    plan = plan_chat("m", call, model("transformers"), stream=False)
    plan.check(answered("alpha"))
    with pytest.raises(XinferenceUnsupportedError, match=r"answered without.*'I would rather not'") as caught:
        plan.check(answered(text="I would rather not"))
    assert caught.value.body == "I would rather not"
    with pytest.raises(XinferenceUnsupportedError, match="max_tokens"):
        plan.check(answered(reason="length"))


def test_another_tool_than_the_named_one_is_an_error():
    call = ChatCall(HELLO, tools=[tool("alpha"), tool("beta")], tool_choice=NamedTool("alpha"))
    with pytest.raises(XinferenceUnsupportedError, match="'alpha'"):
        plan_chat("m", call, model(), stream=False).check(answered("beta"))


@pytest.mark.parametrize("choice", ["required", NamedTool("alpha")])
def test_a_forced_tool_without_tools_is_refused(choice):
    with pytest.raises(XinferenceBadRequestError, match=r"needs tools"):
        sent(ChatCall(HELLO, tool_choice=choice))


def test_a_tool_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(XinferenceBadRequestError, match=r"'gamma'.*alpha, beta"):
        sent(ChatCall(HELLO, tools=[tool("alpha"), tool("beta")], tool_choice=NamedTool("gamma")))


# Structured answers


def structured(method=None, engine: str = "llama.cpp", *abilities: str) -> JSON:
    call = ChatCall(HELLO, structured=StructuredOutput("person", SCHEMA, method=method))
    return body_of(plan_chat("m", call, model(engine, *abilities), stream=False))


@pytest.mark.parametrize("engine", ["llama.cpp", "vllm", "sglang"])
def test_a_schema_goes_where_the_engine_enforces_it(engine: str):
    wanted = structured(engine=engine)["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["schema"] == {**SCHEMA, "additionalProperties": False}


@pytest.mark.parametrize("engine", ["transformers", "mlx"])
def test_a_schema_becomes_a_tool_where_no_engine_enforces_it(engine: str):
    body = structured(engine=engine)
    assert "response_format" not in body
    assert [entry["function"]["parameters"] for entry in body["tools"]] == [SCHEMA]


def test_a_schema_becomes_words_where_there_are_no_tools_either():
    body = structured(None, "transformers", "generate", "chat")
    assert "tools" not in body
    assert body["messages"][0]["role"] == "system"
    assert '"name"' in body["messages"][0]["content"]
    assert body["messages"][1:] == HELLO
    assert HELLO == [{"role": "user", "content": "Hello"}]  # the caller's list is unchanged


NUMBERS = {"type": "array", "items": {"type": "integer"}}


@pytest.mark.parametrize(
    ("method", "engine", "key"),
    [
        (None, "llama.cpp", "response_format"),
        (None, "transformers", None),
        ("json_schema", "transformers", None),
        ("json_mode", "llama.cpp", None),
        ("json_mode", "vllm", None),
    ],
)
def test_a_list_is_asked_for_in_no_way_that_admits_objects_alone(method, engine: str, key: str | None):
    call = ChatCall(HELLO, structured=StructuredOutput("numbers", NUMBERS, method=method))
    body = body_of(plan_chat("m", call, model(engine), stream=False))
    assert {"tools", "response_format"} & set(body) == ({key} if key else set())
    if key:
        assert body[key]["json_schema"]["schema"] == NUMBERS
    elif method != "json_mode":
        assert "one JSON value that satisfies" in body["messages"][0]["content"]


def test_json_mode_is_enforced_on_llama_cpp_by_a_schema_that_admits_every_object():
    wanted = structured("json_mode")["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["schema"] == {"type": "object"}


def test_the_function_calling_way_is_taken_when_it_is_wanted():
    assert "tools" in structured("function_calling", "transformers")
    wanted = structured("function_calling")["response_format"]["json_schema"]["schema"]
    assert wanted["properties"]["name"] == {"const": "person"}


@pytest.mark.parametrize("kind", ["json_schema", "json_object"])
def test_a_response_format_that_the_engine_ignores_is_warned_of_once(kind: str, caplog):
    chat_plan._warned.clear()
    for _ in range(2):
        with caplog.at_level(logging.WARNING):
            sent(ChatCall(HELLO, {"response_format": {"type": kind}}), "transformers")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


# Media


@pytest.mark.parametrize(
    ("part", "ability"),
    [("image_url", "vision"), ("audio_url", "audio"), ("input_audio", "audio"), ("video_url", "vision")],
)
def test_media_for_a_model_that_cannot_see_or_hear_is_refused_before_it_is_sent(part: str, ability: str):
    call = ChatCall(
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": part, part: {"url": WAV}},
                ],
            }
        ]
    )
    with pytest.raises(XinferenceUnsupportedError, match=part):
        plan_chat("m", call, model(), stream=False)
    plan_chat("m", call, model("llama.cpp", "chat", ability), stream=False)
    plan_chat("m", call, model("llama.cpp", "chat", "omni"), stream=False)
    plan_chat("m", call, None, stream=False)  # nothing is assumed about an unknown model


# When the description is fetched


@pytest.mark.parametrize(
    ("call", "needed"),
    [
        (ChatCall(HELLO), False),
        (ChatCall(HELLO, tools=[tool("alpha")], tool_choice="auto"), False),
        (ChatCall(HELLO, tools=[tool("alpha")], tool_choice="required"), True),
        (ChatCall(HELLO, structured=StructuredOutput("a", SCHEMA)), True),
        (ChatCall(HELLO, {"response_format": {"type": "json_object"}}), True),
        (ChatCall([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]), True),
    ],
)
def test_the_engine_is_looked_up_only_where_the_way_depends_on_it(call: ChatCall, needed: bool):
    assert needs_description(call, stream=False) is needed


# The context


def guarded(text: str, engine: str = "transformers", context: int | None = 4096, **parameters) -> bool:
    return guarded_call(ChatCall([{"role": "user", "content": text}], parameters), engine, context)


def guarded_call(call: ChatCall, engine: str = "transformers", context: int | None = 4096) -> bool:
    return context_length.must_count(call, model(engine, context=context), prompt_bytes(call))


def test_tokens_are_counted_only_where_a_long_prompt_would_be_cut_in_silence():
    assert guarded("x" * 5000)
    assert guarded("x" * 3000, max_tokens=1000)
    assert not guarded("x" * 3000)
    assert not guarded("x" * 5000, "llama.cpp")
    assert not guarded("x" * 5000, "vllm")
    assert not guarded("x" * 5000, context=None)


def test_a_prompt_that_does_not_fit_is_refused_with_both_sizes():
    call = ChatCall(HELLO, {"max_tokens": 100})
    context_length.refuse_overflow(call, model("transformers"), 3900)
    with pytest.raises(XinferenceContextOverflowError, match=r"4000 tokens does not fit .* 4096 tokens, 100 of them"):
        context_length.refuse_overflow(call, model("transformers"), 4000)


def test_the_bytes_of_a_picture_are_not_counted_as_its_tokens():
    picture: JSON = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    words: JSON = {"type": "text", "text": "What is this?"}
    call = ChatCall([{"role": "user", "content": [words, picture]}])
    assert prompt_bytes(call) < 100
    assert not guarded_call(call)


def test_a_prompt_that_could_not_be_counted_is_sent():
    context_length.refuse_overflow(ChatCall(HELLO), model("transformers"), None)


def test_a_lone_surrogate_reaches_the_error_that_names_its_place():
    assert prompt_bytes(ChatCall([{"role": "user", "content": "\ud800"}])) == 0


# Parameters


def test_a_later_layer_wins_and_none_leaves_a_parameter_unset():
    merged = parameters.merged(
        parameters.CHAT,
        {"temperature": 0.5, "top_p": 1},
        {"temperature": None, "seed": 7},
        {"temperature": 0},
        where="ChatXinference",
    )
    assert merged == {"temperature": 0, "top_p": 1, "seed": 7}


def test_a_misspelt_parameter_is_refused_with_the_right_one():
    with pytest.raises(
        XinferenceConfigurationError, match=r"no parameter 'temprature'; did you mean 'temperature'\?.*model_kwargs"
    ):
        parameters.merged(parameters.CHAT, {"temprature": 0}, where="ChatXinference")


@pytest.mark.parametrize("where", parameters.OPEN)
def test_extra_parameters_are_sent_unchanged(where: str):
    assert parameters.merged(parameters.CHAT, {"top_k": 1, where: {"mirostat_tau": 5, "top_k": 2}}, where="X") == {
        "mirostat_tau": 5,
        "top_k": 2,
    }


def test_a_drop_in_constructor_warns_and_sends():
    assert parameters.merged(parameters.CHAT, {"mirostat_tau": 5}, where="Xinference", warn_only=True) == {
        "mirostat_tau": 5
    }


def test_one_stop_word_becomes_a_list_and_the_callers_dict_stays():
    given = {"stop": "END", "generate_config": {"stream": True}}
    assert parameters.merged(parameters.CHAT, given, where="X") == {"stop": ["END"]}
    assert given == {"stop": "END", "generate_config": {"stream": True}}


@pytest.mark.parametrize(
    ("engine", "bytes_a_token", "told"),
    [
        ("llama.cpp", 5, "XinferenceContextOverflowError"),  # its only message is "failed", whole and streamed
        ("llama.cpp", 0, "XinferenceServerError"),  # such a short prompt may have failed for another reason
        ("vllm", 5, "XinferenceServerError"),  # its message reports when a prompt does not fit
        (None, 5, "XinferenceContextOverflowError"),
    ],
)
def test_a_failure_without_a_reason_is_told_by_the_size_of_the_prompt(engine, bytes_a_token, told):
    model = ModelInfo("m", "m", "LLM", ("chat",), context_length=4096, engine=engine)
    call = ChatCall([{"role": "user", "content": "x" * (bytes_a_token * 4096)}])
    failure = XinferenceServerError("The chat completion request failed.", status_code=500, request_id="r1", body="b")
    better = context_length.explained_by_size(failure, call, model)
    assert type(better).__name__ == told
    assert (better.status_code, better.request_id, better.body) == (500, "r1", "b")
    assert context_length.explained_by_size(failure, call, None) is failure


# Where an answer starts


@pytest.mark.parametrize(
    ("engine", "start"), [("llama.cpp", "text"), ("transformers", "reasoning"), ("vllm", "reasoning")]
)
def test_a_schema_from_the_first_token_leaves_no_room_for_a_thought(engine, start):
    wanted = {"type": "json_schema", "json_schema": {"name": "Person", "schema": SCHEMA}}
    thinks = model(engine, "generate", "chat", "reasoning")
    assert plan_chat("m", ChatCall(HELLO), thinks, stream=False).start == "reasoning"
    call = ChatCall(HELLO, {"response_format": wanted})
    assert plan_chat("m", call, thinks, stream=False).start == start


def test_tools_that_must_not_be_called_are_not_read():
    call = ChatCall(HELLO, tools=[tool("ping")])
    assert plan_chat("m", call, model(), stream=False).reads_tools
    assert not plan_chat("m", replace(call, tool_choice="none"), model(), stream=False).reads_tools


@pytest.mark.parametrize(
    ("size", "stated", "told"),
    [
        (1000, None, "^it failed$"),
        (3000, None, "4096 tokens among its slots.*512 of them with n_parallel=8.*context_length="),
        (20_000, None, "does not fit the context"),
        (3000, 600, "does not fit the context of model 'm', 600 tokens"),
        (3000, 4096, "^it failed$"),
    ],
)
def test_a_failure_tells_that_llama_cpp_divides_its_context_among_slots(size: int, stated: int | None, told: str):
    call = ChatCall([{"role": "user", "content": "x" * size}], context_length=stated)
    failure = XinferenceServerError("it failed", status_code=500)
    with pytest.raises(XinferenceError, match=told):
        raise context_length.explained_by_size(failure, call, model())


def test_a_stated_context_is_what_a_prompt_has_to_fit():
    call = ChatCall([{"role": "user", "content": "x" * 3000}], context_length=1000)
    assert guarded_call(call)
    assert not guarded_call(replace(call, context_length=8000))
    with pytest.raises(XinferenceContextOverflowError, match="1000 tokens"):
        context_length.refuse_overflow(call, model("transformers"), 995)
