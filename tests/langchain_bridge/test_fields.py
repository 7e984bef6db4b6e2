"""Construction, copying, pickling and serialization of the classes. Sends no requests."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import copy
import pickle
import timeit
import typing

import pytest
from langchain_core.load import dumpd, dumps, load
from langchain_core.runnables import ConfigurableField
from pydantic import SecretStr

from langchain_xinference_bridge import (
    ChatXinference,
    Xinference,
    XinferenceEmbeddings,
    XinferenceLLM,
    XinferenceRerank,
    _constructor_kwargs,
)
from langchain_xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge import XinferenceConnection
from xinference_bridge.integration.parameters import OPEN
from xinference_bridge.models.chat import ChatHandle

CLASSES = (ChatXinference, XinferenceLLM, XinferenceEmbeddings, XinferenceRerank)
SECRET = "sk-not-to-be-seen"
each_class = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)


@each_class
def test_building_one_asks_nothing_and_takes_less_than_a_millisecond(kind):
    build = lambda: kind(model_uid="m", server_url="http://127.0.0.1:1", api_key="k")  # noqa: E731
    assert min(timeit.repeat(build, number=20, repeat=10)) / 20 < 0.001


@each_class
def test_the_positional_order_is_server_model_key(kind):
    model = kind("http://example.org:9997/v1/", "m", SECRET)
    assert (model.server_url, model.model_uid) == ("http://example.org:9997", "m")
    assert model.api_key.get_secret_value() == SECRET


@each_class
def test_model_is_another_word_for_model_uid(kind):
    assert kind(model="m").model_uid == "m"
    with pytest.raises(XinferenceConfigurationError, match="two values for model_uid"):
        kind(model="a", model_uid="b")


@each_class
def test_without_a_model_it_says_where_to_find_one(kind):
    with pytest.raises(XinferenceConfigurationError, match=r"requires model_uid=.*xinference list"):
        kind(server_url="http://example.org")


@each_class
def test_a_misspelt_keyword_is_an_error_that_names_the_nearest_one(kind):
    with pytest.raises(XinferenceConfigurationError, match=r"server_ulr.*did you mean 'server_url'"):
        kind(model="m", server_ulr="http://example.org")


@each_class
@pytest.mark.parametrize(
    ("keyword", "setting"),
    [
        ("password", "password"),
        ("username", "username"),
        ("deadline", "deadline"),
        ("connect_timeout", "connect_timeout"),
        ("verify", "verify"),
        ("ca_bundle", "verify"),
        ("proxy", "proxy"),
        ("openai_proxy", "proxy"),
        ("fallbacks", "fallbacks"),
        ("auth", "username"),
    ],
)
def test_a_setting_of_the_connection_is_not_sent_to_the_server(kind, keyword, setting):
    with pytest.raises(XinferenceConfigurationError, match=rf"setting of the connection.*\b{setting}=…"):
        kind("http://127.0.0.1:1", "m", **{keyword: "secret"})


def test_a_misspelt_sampling_parameter_is_an_error_too():
    for kind in (ChatXinference, XinferenceLLM, Xinference):
        with pytest.raises(XinferenceConfigurationError, match=r"temprature.*did you mean 'temperature'"):
            kind(model="m", temprature=0)


@pytest.mark.parametrize("kind", [ChatXinference, Xinference])
def test_the_older_packages_constructors_send_on_what_they_do_not_know_with_a_warning(kind):
    with pytest.warns(UserWarning, match="does not know 'mirostat_tau' and sends it"):
        model = kind(server_url="http://example.org", model_uid="m", mirostat_tau=5.0)
    assert model.model_kwargs == {"mirostat_tau": 5.0}


def test_parameters_of_the_server_without_a_field_are_taken_by_name():
    assert ChatXinference(model="m", stop_token_ids=[2]).model_kwargs == {"stop_token_ids": [2]}


def test_what_is_meant_for_the_server_alone_is_not_looked_at():
    model = ChatXinference(model="m", model_kwargs={"a": 1}, extra_body={"b": 2}, generate_config={"c": 3})
    assert model.model_kwargs == {"a": 1, "b": 2, "c": 3}


@each_class
def test_the_url_is_checked_when_the_model_is_built(kind):
    with pytest.raises(XinferenceConfigurationError, match="scheme 'ftp'"):
        kind(model="m", server_url="ftp://example.org")


def test_a_wrong_value_is_named():
    with pytest.raises(ValueError, match="temperature") as error:
        ChatXinference(model="m", temperature="hot")
    assert "got str" in str(error.value)


# Where a setting comes from


def test_models_with_one_connection_share_it():
    shared = XinferenceConnection("http://example.org", api_key=SECRET)
    chat, embeddings = ChatXinference(model="a", connection=shared), XinferenceEmbeddings(model="b", connection=shared)
    assert chat._connection() is embeddings._connection() is shared


def test_what_a_model_states_comes_before_its_connection():
    shared = XinferenceConnection("http://example.org", api_key=SECRET, timeout=10)
    derived = ChatXinference(model="m", connection=shared, timeout=99, max_retries=0)._connection()
    assert (derived.server_url, derived.timeout, derived.max_retries) == ("http://example.org", 99, 0)
    assert derived.api_key == shared.api_key


def test_what_nobody_states_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("XINFERENCE_ENDPOINT", "http://example.org:1234")
    monkeypatch.setenv("XINFERENCE_API_KEY", SECRET)
    model = ChatXinference(model="m")
    assert model._connection() == XinferenceConnection("http://example.org:1234", api_key=SECRET)
    given = XinferenceConnection("http://other.example.org", api_key="other")
    assert ChatXinference(model="m", connection=given)._connection() == given


# Copies and pickles


def _models():
    shared = XinferenceConnection("http://example.org", username="ada", password=SECRET)
    for kind in CLASSES:
        yield kind("http://example.org", "m", SECRET)
        yield kind(model_uid="m", connection=shared)


def test_pickles_and_copies_answer_from_the_same_server_with_the_same_credential():
    for model in _models():
        for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model), model.model_copy()):
            assert twin == model
            assert twin._connection() == model._connection()


def test_a_copy_with_another_server_asks_that_server():
    model = ChatXinference("http://example.org", "m", SECRET)
    moved = model.model_copy(update={"server_url": "http://other.example.org", "model_uid": "n"})
    assert moved._connection().server_url == "http://other.example.org"
    assert moved._handle(ChatHandle).uid == "n"
    assert moved.profile._model is moved


def test_a_copy_does_not_share_the_cached_answers_of_its_original():
    model = ChatXinference(model="m", temperature=0)
    key = model._get_llm_string()
    assert model.model_copy(update={"temperature": 1})._get_llm_string() != key
    assert model.model_copy()._get_llm_string() == key


def test_secrets_are_nowhere_to_be_seen():
    for model in _models():
        shown = (repr(model), str(model), model.model_dump_json(), dumps(model), repr(model.model_dump()))
        assert all(SECRET not in text for text in shown)


@each_class
@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
def test_a_model_written_out_is_read_again_with_the_key_of_the_environment(kind, monkeypatch):
    written = dumpd(kind("http://example.org", "m", SECRET, timeout=5))
    assert written["kwargs"]["api_key"] == {"lc": 1, "type": "secret", "id": ["XINFERENCE_API_KEY"]}
    monkeypatch.setenv("XINFERENCE_API_KEY", "another")
    read = load(
        written, allowed_objects=[kind], valid_namespaces=["langchain_xinference_bridge"], secrets_from_env=True
    )
    assert read._connection() == XinferenceConnection("http://example.org", api_key="another", timeout=5)


@each_class
def test_a_connection_is_written_out_as_what_it_says(kind):
    shared = XinferenceConnection("http://example.org", api_key=SECRET)
    written = dumpd(kind(model="m", connection=shared))["kwargs"]
    assert written["server_url"] == "http://example.org"
    assert written["api_key"] == {"lc": 1, "type": "secret", "id": ["XINFERENCE_API_KEY"]}
    assert "connection" not in written


# LangChain's own ways to change a model


def test_configurable_fields_keep_the_connection_and_everything_stated():
    shared = XinferenceConnection("http://example.org", api_key=SECRET)
    model = ChatXinference(model="m", connection=shared, temperature=0.5)
    configurable = model.configurable_fields(
        temperature=ConfigurableField("t"), model_uid=ConfigurableField("uid"), timeout=ConfigurableField("timeout")
    )
    built, _ = configurable.prepare({"configurable": {"t": 0.0, "uid": "n", "timeout": 7}})
    assert (built.temperature, built.model_uid) == (0.0, "n")
    assert built._connection() == shared.derive(timeout=7)
    assert built.profile._model is built
    assert built.streaming is None


def test_configurable_alternatives_pick_another_model():
    both = ChatXinference(model="a").configurable_alternatives(ConfigurableField("m"), b=ChatXinference(model="b"))
    assert both.prepare({"configurable": {"m": "b"}})[0].model_uid == "b"


# The keywords, for type checkers


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (ChatXinference, _constructor_kwargs.ChatSettings),
        (XinferenceLLM, _constructor_kwargs.LLMSettings),
        (XinferenceEmbeddings, _constructor_kwargs.EmbeddingsSettings),
        (XinferenceRerank, _constructor_kwargs.RerankSettings),
    ],
)
def test_type_checkers_know_every_keyword_that_the_constructor_takes(kind, settings):
    typed = set(typing.get_type_hints(settings)) | {"server_url", "model_uid", "api_key"}
    assert typed - set(OPEN) == set(kind.model_fields) - set(OPEN) | {"model", "base_url", "headers"}


def test_a_key_may_be_text_or_a_secret():
    assert ChatXinference(model="m", api_key=SecretStr(SECRET)) == ChatXinference(model="m", api_key=SECRET)
