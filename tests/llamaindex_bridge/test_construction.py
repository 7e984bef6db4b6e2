"""Construction of the three classes: the older packages' calls, misspelled names, copies, pickles, serialization."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import MetadataMode
from llama_index.core.storage.kvstore import SimpleKVStore

import llamaindex_xinference_bridge as bridge
from llamaindex_xinference_bridge import (
    Xinference,
    XinferenceAudioReader,
    XinferenceEmbedding,
    XinferenceLLM,
    XinferenceMultiModalEmbedding,
    XinferenceOCRReader,
    XinferenceRerank,
)
from xinference_bridge import XinferenceConfigurationError, XinferenceConnection

URL = "http://gateway.example:9997"
KEY = "sk-" + "not-a-real-one"
CLASSES = [XinferenceLLM, XinferenceEmbedding, XinferenceRerank, XinferenceAudioReader, XinferenceOCRReader]


def test_the_exported_names():
    assert bridge.__all__ == [
        "Xinference",
        "XinferenceAudioReader",
        "XinferenceEmbedding",
        "XinferenceLLM",
        "XinferenceMultiModalEmbedding",
        "XinferenceOCRReader",
        "XinferenceRerank",
        "XinferenceSparseEmbedding",
        "XinferenceToolSpec",
    ]
    assert Xinference is XinferenceLLM


# Calls written for the llama-index-*-xinference packages, with the import line changed


def test_the_older_llm_s_calls_build():
    first = Xinference("qwen", "http://localhost:9997")
    assert (first.model_uid, first.endpoint, first.temperature) == ("qwen", "http://localhost:9997", None)
    second = Xinference(model_uid="qwen", endpoint=URL, temperature=0.5, max_tokens=256, system_prompt="Be brief.")
    assert (second.temperature, second.max_tokens, second.system_prompt) == (0.5, 256, "Be brief.")
    third = Xinference("qwen", URL, 0.5, 256, CallbackManager([]), "Be brief.")
    assert third.system_prompt == "Be brief."


def test_the_older_embedding_s_calls_build():
    first = XinferenceEmbedding("bge-m3")
    second = XinferenceEmbedding("bge-m3", URL, 30.0)
    third = XinferenceEmbedding(model_uid="bge-m3", base_url=URL + "/", timeout=30.0, embed_batch_size=16)
    assert first.base_url == "http://127.0.0.1:9997"
    assert (second.base_url, second.timeout) == (third.base_url, third.timeout) == (URL, 30.0)
    assert third.embed_batch_size == 16
    assert third.model_name == "bge-m3"


def test_the_older_reranker_s_calls_build():
    first = XinferenceRerank()
    second = XinferenceRerank(model="bge-reranker-v2-m3", base_url=URL, top_n=3)
    assert (first.model, first.top_n) == ("bge-reranker-base", 5)
    assert (second.model, second.base_url, second.top_n) == ("bge-reranker-v2-m3", URL, 3)


# The connection


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("keyword", ["server_url", "endpoint", "base_url"])
def test_each_word_for_the_server_is_understood(cls, keyword):
    assert cls(model_uid="m", **{keyword: URL + "/v1"}).connection.server_url == URL


@pytest.mark.parametrize("cls", CLASSES)
def test_what_is_stated_comes_before_the_connection_and_that_before_the_environment(cls, monkeypatch):
    monkeypatch.setenv("XINFERENCE_ENDPOINT", "http://environment.example:1")
    monkeypatch.setenv("XINFERENCE_API_KEY", "sk-environment")
    assert cls(model_uid="m").server_url == "http://environment.example:1"
    shared = XinferenceConnection(URL, api_key=KEY, timeout=7)
    assert cls(model_uid="m", connection=shared).connection is shared
    own = cls(model_uid="m", connection=shared, server_url="http://own.example:2", max_retries=0).connection
    assert (own.server_url, own.timeout, own.max_retries) == ("http://own.example:2", 7, 0)
    assert own.api_key is not None
    assert own.api_key.get_secret_value() == KEY


@pytest.mark.parametrize("cls", CLASSES)
def test_model_is_another_word_for_model_uid_and_one_is_needed(cls):
    assert cls(model="m").model_uid == cls(model_uid="m").model == "m"
    with pytest.raises(XinferenceConfigurationError, match=r"two values for model_uid: 'a' and, as model=, 'b'"):
        cls(model_uid="a", model="b")
    with pytest.raises(XinferenceConfigurationError, match="two values for server_url"):
        cls(model_uid="a", base_url=URL, server_url="http://other.example:1")


def test_a_model_that_is_not_named_is_asked_for():
    with pytest.raises(XinferenceConfigurationError, match=r"XinferenceLLM requires model_uid= \(or model=\)"):
        XinferenceLLM(endpoint=URL)


# Names


@pytest.mark.parametrize(
    ("cls", "wrong", "meant"),
    [
        (XinferenceLLM, "temprature", "temperature"),
        (XinferenceLLM, "api_kye", "api_key"),
        (XinferenceLLM, "modle_uid", "model_uid"),
        (XinferenceEmbedding, "embed_batchsize", "embed_batch_size"),
        (XinferenceRerank, "topn", "top_n"),
    ],
)
def test_a_misspelt_keyword_is_an_error_with_the_nearest_name(cls, wrong, meant):
    with pytest.raises(XinferenceConfigurationError, match=f"no parameter '{wrong}'; did you mean '{meant}'"):
        cls(model="m", **{wrong: 1})


def test_a_keyword_like_no_other_is_sent_on_with_a_warning():
    with pytest.warns(UserWarning, match="does not know 'mirostat_tau' and sends it") as caught:
        llm = XinferenceLLM("m", URL, mirostat_tau=5)  # type: ignore[call-arg]  # a type checker knows better
    assert llm.model_kwargs == {"mirostat_tau": 5}
    assert caught[0].filename == __file__


def test_the_server_s_rare_parameters_and_whatever_stands_in_the_open_ones_are_sent_on():
    rare: dict[str, Any] = {"ignore_eos": True}
    llm = XinferenceLLM("m", URL, **rare, extra_body={"a": 1}, model_kwargs={"b": 2}, generate_config={"c": 3})
    assert llm.model_kwargs == {"ignore_eos": True, "a": 1, "b": 2, "c": 3}


def test_unset_parameters_are_absent_and_false_and_zero_are_not_unset():
    assert XinferenceLLM("m", URL).stated_parameters() == {"model_kwargs": {}}
    stated = XinferenceLLM("m", URL, temperature=0, enable_thinking=False).stated_parameters()
    assert stated == {"temperature": 0, "enable_thinking": False, "model_kwargs": {}}


def test_none_is_unset_for_a_reranker_s_callbacks_but_all_for_its_top_n():
    reranker = XinferenceRerank("m", URL, top_n=None, callback_manager=None)
    assert reranker.top_n is None
    assert isinstance(reranker.callback_manager, CallbackManager)


# Copies, pickles, and what is written down

EACH = [
    XinferenceLLM("m", URL, api_key=KEY, temperature=0.2, stop=["x"], context_window=100),
    XinferenceEmbedding("m", URL, api_key=KEY, timeout=3, query_instruction="query:", dimensions=8),
    XinferenceRerank("m", URL, api_key=KEY, top_n=None, metadata_mode=MetadataMode.NONE),
]


def settings_of(model):
    return {name: getattr(model, name) for name in type(model).model_fields if name != "callback_manager"}


def shown(model):
    return {**settings_of(model), "messages_to_prompt": None, "completion_to_prompt": None}


@pytest.mark.parametrize("model", EACH, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("again", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy, copy.copy])
def test_a_copy_and_a_pickle_ask_the_same_server_with_the_same_key(model, again, monkeypatch, caplog):
    monkeypatch.setenv("XINFERENCE_ENDPOINT", "http://environment.example:1")
    twin = again(model)
    assert shown(twin) == shown(model)
    assert twin.connection.api_key.get_secret_value() == KEY
    assert "unpickleable" not in caplog.text  # llama-index-core drops such a field with this line


class _Unpicklable(SimpleKVStore):
    def __reduce__(self):
        raise TypeError("this store holds a socket")


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (XinferenceLLM, "completion_to_prompt", lambda prompt: prompt),
        (XinferenceLLM, "messages_to_prompt", lambda messages: f"{messages}"),
        (XinferenceEmbedding, "embeddings_cache", _Unpicklable()),
        (XinferenceMultiModalEmbedding, "embeddings_cache", _Unpicklable()),
        (XinferenceRerank, "model_kwargs", {"hook": lambda: None}),
        (XinferenceOCRReader, "model_kwargs", {"hook": lambda: None}),
    ],
)
def test_pickling_leaves_the_original_whole(kind, name, value):
    model = kind(model_uid="m", server_url=URL, **{name: value})
    before = dict(model.__dict__)
    pickle.dumps(model)
    assert model.__dict__ == before
    assert getattr(model, name) == value


@pytest.mark.parametrize("model", EACH, ids=lambda model: type(model).__name__)
def test_no_secret_is_shown_or_written(model):
    for text in (repr(model), str(model), model.to_json(), str(model.to_dict()), str(model.model_dump())):
        assert KEY not in text
        assert "****" not in text  # read back, it would be sent, and count towards a ban


@pytest.mark.parametrize("model", EACH, ids=lambda model: type(model).__name__)
def test_what_is_written_reads_the_key_from_the_environment_again(model, monkeypatch):
    written = model.to_json()
    twin = type(model).from_json(written)
    assert twin.connection == model.connection.derive(api_key=None)
    monkeypatch.setenv("XINFERENCE_API_KEY", "sk-environment")
    twin = type(model).from_dict(json.loads(written))
    assert twin.server_url == URL
    assert twin.connection.api_key.get_secret_value() == "sk-environment"
    assert twin.to_json() == written


def test_what_is_written_of_a_login_leaves_both_its_halves_to_the_environment(monkeypatch):
    llm = XinferenceLLM("m", connection=XinferenceConnection(URL, username="ada", password="secret", deadline=9))
    written = llm.to_dict()
    assert written["connection"] == {"server_url": URL, "deadline": 9.0}
    monkeypatch.setenv("XINFERENCE_USERNAME", "ada")
    monkeypatch.setenv("XINFERENCE_PASSWORD", "another")
    assert XinferenceLLM.from_dict(written).connection.username == "ada"


def test_this_machine_s_ca_bundle_is_not_written(monkeypatch, tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    llm = XinferenceLLM("m", URL)
    assert llm.connection.verify == str(bundle)
    assert str(bundle) not in llm.to_json()
    assert (
        XinferenceLLM("m", URL, connection=XinferenceConnection(verify=False)).to_dict()["connection"]["verify"]
        is False
    )


def test_settings_take_the_llm_and_the_embedding(monkeypatch):
    monkeypatch.setattr(Settings, "_llm", None)
    monkeypatch.setattr(Settings, "_embed_model", None)
    Settings.llm = llm = XinferenceLLM("m", URL)
    Settings.embed_model = embed_model = XinferenceEmbedding("m", URL)
    assert Settings.llm is llm
    assert Settings.embed_model is embed_model
