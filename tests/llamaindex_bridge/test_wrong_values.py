"""An invalid value raises an error with its name before sending: in the constructor and each kind of call."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from pydantic import BaseModel

from llamaindex_xinference_bridge import XinferenceAudioReader, XinferenceEmbedding, XinferenceLLM, XinferenceRerank
from llamaindex_xinference_bridge._requests import chat_call
from tests.wrong_values import ADDRESSES, CHAT_WRONG, DOORS, FIELDS, OPEN_WRONG, WAITING, WRONG, one_each, through
from xinference_bridge import XinferenceConfigurationError

NOWHERE = "http://127.0.0.1:9"  # nothing listens there: a request would fail with another error
HELLO = [ChatMessage("Hello")]


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


@pytest.mark.parametrize("door", ["extra_body", "generate_config"])
@pytest.mark.parametrize("name", ["model", "messages"])
@pytest.mark.parametrize("how", CALLS)
def test_an_open_parameter_cannot_replace_the_model_or_the_input(door: str, name: str, how: str):
    with pytest.raises(XinferenceConfigurationError, match=rf"{door} cannot have '{name}'.*pass"):
        CALLS[how](llm_of(), {door: {name: "other"}})
