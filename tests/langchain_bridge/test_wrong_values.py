"""An invalid value raises an error with its name before sending: in the constructor, `bind` and each kind of call."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from langchain_xinference_bridge import ChatXinference, XinferenceEmbeddings, XinferenceLLM, XinferenceRerank
from tests.wrong_values import ADDRESSES, CHAT_WRONG, DOORS, FIELDS, OPEN_WRONG, WAITING, WRONG, one_each, through
from xinference_bridge import XinferenceConfigurationError

NOWHERE = "http://127.0.0.1:9"  # nothing listens there: a request would fail with another error
CLASSES = (ChatXinference, XinferenceLLM)


async def _drained(stream: Any) -> list[Any]:
    return [piece async for piece in stream]


CALLS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "bind": lambda model, kwargs: model.bind(**kwargs),
    "invoke": lambda model, kwargs: model.invoke("Hello", **kwargs),
    "ainvoke": lambda model, kwargs: asyncio.run(model.ainvoke("Hello", **kwargs)),
    "stream": lambda model, kwargs: list(model.stream("Hello", **kwargs)),
    "astream": lambda model, kwargs: asyncio.run(_drained(model.astream("Hello", **kwargs))),
}


def model_of(kind: Any, **kwargs: Any) -> Any:
    return kind(server_url=NOWHERE, model="m", **kwargs)


def wrong_for(kind: Any) -> list[tuple[str, Any]]:
    return CHAT_WRONG if kind is ChatXinference else WRONG


@pytest.mark.slow
@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("how", ["construction", *CALLS])
def test_a_wrong_value_is_named_whatever_door_it_comes_through(kind, door: str, how: str):
    for name, value in wrong_for(kind) if how in {"construction", "bind"} else one_each(wrong_for(kind)):
        keywords = through(door, name, value)
        with pytest.raises(XinferenceConfigurationError, match=f"{name} (must be|cannot be used)") as caught:
            model_of(kind, **keywords) if how == "construction" else CALLS[how](model_of(kind), keywords)
        assert kind.__name__ in str(caught.value)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("how", ["construction", *CALLS])
def test_an_open_place_that_is_no_dict_is_named(kind, how: str):
    for door, value in OPEN_WRONG:
        with pytest.raises(XinferenceConfigurationError, match=f"{door} must be a dict, got {type(value).__name__}"):
            model_of(kind, **{door: value}) if how == "construction" else CALLS[how](model_of(kind), {door: value})


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("how", CALLS)
def test_a_wrong_wait_of_a_call_is_named(kind, how: str):
    for name, value in WAITING:
        with pytest.raises(XinferenceConfigurationError, match=f"{name} must be"):
            CALLS[how](model_of(kind), {name: value})


@pytest.mark.parametrize("kind", [ChatXinference, XinferenceLLM, XinferenceEmbeddings, XinferenceRerank])
def test_a_wrong_setting_is_named_at_construction(kind):
    for name, value in WAITING:
        if name in kind.model_fields:
            with pytest.raises(XinferenceConfigurationError, match=f"{name} must be"):
                model_of(kind, **{name: value})
    for wrong in ("http://127.0.0.1:9997", 5, {"server_url": NOWHERE}):
        with pytest.raises(
            XinferenceConfigurationError, match=r"connection must be an XinferenceConnection.*server_url"
        ):
            kind(model="m", connection=wrong)
    with pytest.raises(XinferenceConfigurationError, match="model_uid"):
        kind(server_url=NOWHERE, model=5)


@pytest.mark.parametrize("kind", [ChatXinference, XinferenceLLM, XinferenceEmbeddings])
def test_a_wrong_field_is_named_at_construction(kind):
    mine = [(name, value) for name, value in FIELDS if name in kind.model_fields]
    for name, value in mine:
        with pytest.raises(XinferenceConfigurationError, match=f"{name} must be .*, got {type(value).__name__}"):
            model_of(kind, **{name: value})
    assert mine


@pytest.mark.parametrize("kind", [ChatXinference, XinferenceLLM, XinferenceEmbeddings, XinferenceRerank])
@pytest.mark.parametrize("name", ADDRESSES)
def test_another_package_s_word_for_the_address_is_an_error_that_names_ours(kind, name: str):
    with pytest.raises(XinferenceConfigurationError, match=re.escape(f"{name!r}; use server_url=")):
        kind(model="m", api_key="sk-secret", **{name: "http://example.org"})


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("door", DOORS)
def test_default_values_are_accepted_and_dropped(kind, door: str):
    for name, value in (("n", 1), ("n", None), ("logit_bias", {}), ("logit_bias", None)):
        model = model_of(kind, **through(door, name, value))
        assert model.stated_parameters().get("model_kwargs", {}) == {}
        model.bind(**through(door, name, value))


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.parametrize("how", ["construction", "bind", "call"])
def test_a_response_format_takes_a_pydantic_class(how: str):
    model = model_of(ChatXinference, **({"response_format": Person} if how == "construction" else {}))
    keywords = {} if how == "construction" else {"response_format": Person}
    wanted = model._prepared([], None, keywords).call.parameters["response_format"]
    assert (wanted["type"], wanted["json_schema"]["name"]) == ("json_schema", "Person")
    assert wanted["json_schema"]["schema"]["required"] == ["name", "age"]
    if how == "bind":
        model.bind(response_format=Person)


@pytest.mark.parametrize("lower", DOORS)
@pytest.mark.parametrize("upper", DOORS)
def test_the_call_comes_before_the_model_whatever_door_each_came_through(lower: str, upper: str):
    model = model_of(ChatXinference, **through(lower, "stop", ["model"]), **through("", "temperature", 0.5))
    call = model._prepared([], None, through(upper, "stop", ["call"])).call
    assert call.parameters == {"temperature": 0.5, "stop": ["call"]}
    assert model._prepared([], ["call"], {}).call.parameters["stop"] == ["call"]
    mine = model_of(ChatXinference, **through(lower, "seed", 1))
    assert mine._prepared([], None, through(upper, "seed", 2)).call.parameters == {"seed": 2}


def test_a_stated_context_goes_to_the_core():
    assert model_of(ChatXinference, context_length=1024)._prepared([], None, {}).call.context_length == 1024
    with pytest.raises(XinferenceConfigurationError, match="context_length must be an integer of 1 or more"):
        model_of(ChatXinference, context_length="1024")


TAKEN = [(door, name) for door in ("extra_body", "model_kwargs", "generate_config") for name in ("model", "messages")]


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(("door", "name"), [*TAKEN, ("extra_body", "prompt")])
def test_an_open_parameter_cannot_replace_the_model_or_the_input(kind: Any, door: str, name: str):
    inside = {door: {name: "other"}}
    if name == "prompt" and kind is ChatXinference:
        return  # no field of that request
    for call in CALLS.values():
        if name == "prompt" and call is CALLS["bind"]:
            continue
        with pytest.raises(XinferenceConfigurationError, match=rf"{door} cannot have '{name}'.*pass"):
            call(model_of(kind), inside)
    with pytest.raises(XinferenceConfigurationError, match=f"cannot have '{name}'.*pass"):
        model_of(kind, **inside).invoke("Hello")


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("name", ["model", "model_uid"])
@pytest.mark.parametrize("uid", [5, "", "  ", ["m"], True])
def test_the_model_of_a_call_is_a_non_empty_string(kind: Any, name: str, uid: Any):
    for call in CALLS.values():
        if call is not CALLS["bind"]:
            with pytest.raises(XinferenceConfigurationError, match=f"{name} must be the UID of a running model"):
                call(model_of(kind), {name: uid})
