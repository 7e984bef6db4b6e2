"""An invalid value raises an error with its name before sending: in the constructor and each kind of call."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from llama_index.core import PromptTemplate
from llama_index.core.base.llms.types import ChatMessage
from pydantic import BaseModel

from llamaindex_xinference_bridge import (
    XinferenceAudioReader,
    XinferenceEmbedding,
    XinferenceLLM,
    XinferenceOCRReader,
    XinferenceRerank,
)
from llamaindex_xinference_bridge._requests import chat_call
from tests.support.fault_proxy import fault_server, http
from tests.wrong_values import ADDRESSES, CHAT_WRONG, DOORS, FIELDS, OPEN_WRONG, WAITING, WRONG, one_each, through
from xinference_bridge import XinferenceConfigurationError

NOWHERE = "http://127.0.0.1:9"  # nothing listens there: a request would fail with another error
HELLO = [ChatMessage("Hello")]
ASK: PromptTemplate = PromptTemplate("Who?")


async def _drained(stream: Any) -> list[Any]:
    return [piece async for piece in await stream]


CALLS: dict[str, Callable[[XinferenceLLM, dict[str, Any]], Any]] = {
    "chat": lambda llm, kwargs: llm.chat(HELLO, **kwargs),
    "achat": lambda llm, kwargs: asyncio.run(llm.achat(HELLO, **kwargs)),
    "stream_chat": lambda llm, kwargs: list(llm.stream_chat(HELLO, **kwargs)),
    "astream_chat": lambda llm, kwargs: asyncio.run(_drained(llm.astream_chat(HELLO, **kwargs))),
    "complete": lambda llm, kwargs: llm.complete("Hello", **kwargs),
    "acomplete": lambda llm, kwargs: asyncio.run(llm.acomplete("Hello", **kwargs)),
    "stream_complete": lambda llm, kwargs: list(llm.stream_complete("Hello", **kwargs)),
}
CHATS: dict[str, Callable[..., Any]] = {
    "chat": lambda llm, messages: llm.chat(messages),
    "achat": lambda llm, messages: asyncio.run(llm.achat(messages=messages)),
    "stream_chat": lambda llm, messages: list(llm.stream_chat(messages)),
    "astream_chat": lambda llm, messages: asyncio.run(_drained(llm.astream_chat(messages=messages))),
}
COMPLETIONS: dict[str, Callable[..., Any]] = {
    "complete": lambda llm, prompt: llm.complete(prompt),
    "acomplete": lambda llm, prompt: asyncio.run(llm.acomplete(prompt)),
    "stream_complete": lambda llm, prompt: list(llm.stream_complete(prompt=prompt)),
    "astream_complete": lambda llm, prompt: asyncio.run(_drained(llm.astream_complete(prompt=prompt))),
}
PREDICTIONS: dict[str, Callable[..., Any]] = {
    "structured_predict": lambda llm, kind: llm.structured_predict(kind, ASK),
    "astructured_predict": lambda llm, kind: asyncio.run(llm.astructured_predict(kind, ASK)),
    "stream_structured_predict": lambda llm, kind: list(llm.stream_structured_predict(kind, ASK)),
    "astream_structured_predict": lambda llm, kind: asyncio.run(_drained(llm.astream_structured_predict(kind, ASK))),
}
COUNTS: dict[str, Callable[..., Any]] = {
    "count_tokens": lambda llm, messages: llm.count_tokens(messages),
    "acount_tokens": lambda llm, messages: asyncio.run(llm.acount_tokens(messages)),
}


def llm_of(*, chats: bool = True, **kwargs: Any) -> XinferenceLLM:
    return XinferenceLLM("m", NOWHERE, is_chat_model=chats, context_window=4096, **kwargs)


@pytest.mark.slow
@pytest.mark.parametrize("chats", [True, False])
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("how", ["construction", *CALLS])
def test_a_wrong_value_is_named_whatever_door_it_comes_through(chats: bool, door: str, how: str):
    wrong = CHAT_WRONG if chats else WRONG
    for name, value in wrong if how == "construction" else one_each(wrong):
        keywords = through(door, name, value)
        with pytest.raises(XinferenceConfigurationError, match=f"XinferenceLLM: {name} (must be|cannot be used)"):
            llm_of(chats=chats, **keywords) if how == "construction" else CALLS[how](llm_of(chats=chats), keywords)


@pytest.mark.parametrize("how", ["construction", *CALLS])
def test_an_open_place_that_is_no_dict_is_named(how: str):
    for door, value in OPEN_WRONG:
        with pytest.raises(XinferenceConfigurationError, match=f"{door} must be a dict, got {type(value).__name__}"):
            llm_of(**{door: value}) if how == "construction" else CALLS[how](llm_of(), {door: value})


@pytest.mark.parametrize("how", CALLS)
def test_a_wrong_wait_of_a_call_is_named(how: str):
    for name, value in WAITING:
        with pytest.raises(XinferenceConfigurationError, match=f"{name} must be"):
            CALLS[how](llm_of(), {name: value})


@pytest.mark.parametrize("kind", [XinferenceLLM, XinferenceEmbedding])
def test_a_wrong_field_is_named_at_construction(kind):
    mine = [(name, value) for name, value in FIELDS if name in kind.model_fields]
    for name, value in mine:
        with pytest.raises(XinferenceConfigurationError, match=f"{name} must be .*, got {type(value).__name__}"):
            kind(model="m", server_url=NOWHERE, **{name: value})
    assert mine


@pytest.mark.parametrize("kind", [XinferenceLLM, XinferenceEmbedding, XinferenceRerank, XinferenceAudioReader])
def test_a_wrong_setting_is_named_at_construction(kind):
    for name, value in WAITING:
        if name in {"timeout", "max_retries"}:
            with pytest.raises(XinferenceConfigurationError, match=f"{name} must be"):
                kind(model="m", server_url=NOWHERE, **{name: value})
    for wrong in ("http://127.0.0.1:9997", 5):
        with pytest.raises(
            XinferenceConfigurationError, match=r"connection must be an XinferenceConnection.*server_url"
        ):
            kind(model="m", connection=wrong)
    with pytest.raises(XinferenceConfigurationError, match="model_uid"):
        kind(model=5, server_url=NOWHERE)


@pytest.mark.parametrize("kind", [XinferenceLLM, XinferenceEmbedding, XinferenceRerank, XinferenceAudioReader])
@pytest.mark.parametrize("name", [name for name in ADDRESSES if name != "endpoint"])
def test_another_package_s_word_for_the_address_is_an_error_that_names_ours(kind, name: str):
    with pytest.raises(XinferenceConfigurationError, match=re.escape(f"{name!r}; use server_url=")):
        kind(model="m", api_key="sk-secret", **{name: "http://example.org"})


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.parametrize("how", ["construction", "call"])
def test_a_response_format_takes_a_pydantic_class(how: str):
    stated: dict[str, Any] = {"response_format": Person} if how == "construction" else {}
    llm = llm_of(**stated)
    call, _ = chat_call(HELLO, llm.stated_parameters(), {} if how == "construction" else {"response_format": Person})
    assert call.parameters["response_format"]["json_schema"]["name"] == "Person"


@pytest.mark.parametrize("lower", DOORS)
@pytest.mark.parametrize("upper", DOORS)
def test_the_call_comes_before_the_model_whatever_door_each_came_through(lower: str, upper: str):
    llm = llm_of(**through(lower, "stop", ["model"]))
    call, _ = chat_call(HELLO, llm.stated_parameters(), through(upper, "stop", "call"))
    assert call.parameters == {"stop": ["call"]}


def test_a_context_is_stated_under_either_name():
    for llm in (XinferenceLLM("m", NOWHERE, context_length=1024), XinferenceLLM("m", NOWHERE, context_window=1024)):
        assert llm.context_window == 1024
        assert chat_call(HELLO, {}, {}, llm.context_window)[0].context_length == 1024


def _with_calls(calls: Any) -> list[ChatMessage]:
    return [*HELLO, ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": calls})]


WRONG_MESSAGES = [
    (None, "messages must be a list of ChatMessage, got NoneType"),
    (5, "messages must be a list of ChatMessage, got int"),
    (HELLO[0], "messages must be a list of ChatMessage, got ChatMessage"),
    ([{"role": "user", "content": "a"}], r"message 0 of messages must be a ChatMessage, got dict: give ChatMessage\("),
    ([*HELLO, "a"], "message 1 of messages must be a ChatMessage, got str"),
    (_with_calls([{"id": "x"}]), r"additional_kwargs\['tool_calls'\] must be .*'function', got dict"),
    (_with_calls("junk"), r"additional_kwargs\['tool_calls'\] must be .*, got str"),
    (_with_calls(5), r"additional_kwargs\['tool_calls'\] must be .*, got int"),
    (_with_calls([None]), r"additional_kwargs\['tool_calls'\] must be .*, got NoneType"),
    (_with_calls([{"function": {"name": "add", "arguments": None}}]), r"\['tool_calls'\] must be .*, got dict"),
]


@pytest.mark.parametrize("how", [*CHATS, *COUNTS])
def test_wrong_messages_are_named(how: str):
    for messages, words in WRONG_MESSAGES:
        with pytest.raises(XinferenceConfigurationError, match=words):
            {**CHATS, **COUNTS}[how](llm_of(), messages)


@pytest.mark.parametrize("how", CHATS)
def test_a_conversation_needs_a_message(how: str):
    nones: list[Any] = [[], (), iter(())]
    for none in nones:
        with pytest.raises(XinferenceConfigurationError, match="messages must hold at least one ChatMessage"):
            CHATS[how](llm_of(), none)


@pytest.mark.parametrize("how", COMPLETIONS)
@pytest.mark.parametrize("chats", [True, False])
def test_a_prompt_that_is_no_text_is_named(how: str, chats: bool):
    for wrong in (None, 5, ASK):
        with pytest.raises(XinferenceConfigurationError, match=f"prompt must be a string, got {type(wrong).__name__}"):
            COMPLETIONS[how](llm_of(chats=chats), wrong)


@pytest.mark.parametrize("how", PREDICTIONS)
def test_a_class_of_objects_that_is_none_of_pydantic_is_named(how: str):
    for wrong in (dict, {"type": "object"}, None):
        with pytest.raises(XinferenceConfigurationError, match="output_cls must be a pydantic class, got "):
            PREDICTIONS[how](llm_of(), wrong)


@pytest.mark.fault_server
@pytest.mark.parametrize("how", ["chat", "achat"])
def test_a_generator_of_messages_is_sent_whole(how: str):
    body = {"id": "1", "created": 1, "choices": [{"message": {"role": "assistant", "content": "Hi"}}]}
    with fault_server() as server:
        server.on("/v1/chat/completions", http(200, orjson.dumps(body)))
        llm = XinferenceLLM("m", server.url, is_chat_model=True, context_window=4096)
        CHATS[how](llm, (message for message in HELLO))
        [sent] = server.seen("/v1/chat/completions")
    assert orjson.loads(sent.body)["messages"] == [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("name", ["prompt", "pages", "options", "document"])
def test_what_an_ocr_reader_takes_itself_is_named_in_model_kwargs(name: str):
    words = f"model_kwargs cannot hold {name!r}"
    with pytest.raises(XinferenceConfigurationError, match=words):
        XinferenceOCRReader("m", NOWHERE, model_kwargs={name: "x"})
    reader = XinferenceOCRReader("m", NOWHERE)
    reader.model_kwargs[name] = "x"
    with pytest.raises(XinferenceConfigurationError, match=words):
        reader.load_data(b"%PDF-1.7")
    with pytest.raises(XinferenceConfigurationError, match=words):
        asyncio.run(reader.aload_data(b"%PDF-1.7"))


@pytest.mark.parametrize("door", ["extra_body", "generate_config"])
@pytest.mark.parametrize("name", ["model", "messages"])
@pytest.mark.parametrize("how", CALLS)
def test_an_open_parameter_cannot_replace_the_model_or_the_input(door: str, name: str, how: str):
    with pytest.raises(XinferenceConfigurationError, match=rf"{door} cannot have '{name}'.*pass"):
        CALLS[how](llm_of(), {door: {name: "other"}})
