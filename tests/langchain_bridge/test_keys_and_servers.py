"""A key goes to the server that it belongs to, however a model is copied or changed."""

# mypy: no-check-untyped-defs

from __future__ import annotations

import copy
import pickle

import pytest
from langchain_core.runnables import ConfigurableField

from langchain_xinference_bridge import ChatXinference, XinferenceEmbeddings, XinferenceLLM, XinferenceRerank
from xinference_bridge import XinferenceConnection

CLASSES = (ChatXinference, XinferenceLLM, XinferenceEmbeddings, XinferenceRerank)
HERE, THERE = "http://environment.example:9997", "http://b.example:9997"


def copied(model, connection):
    return model.model_copy(update={"connection": connection})


def assigned(model, connection):
    twin = copy.copy(model)
    twin.connection = connection
    return twin


def configured(model, connection):
    configurable = model.configurable_fields(connection=ConfigurableField("connection"))
    return configurable.prepare({"configurable": {"connection": connection}})[0]


def pickled_and_copied(model, connection):
    return copied(pickle.loads(pickle.dumps(model)), connection)


WAYS = (copied, assigned, configured, pickled_and_copied)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("key", ["sk-b", None])
@pytest.mark.parametrize("used", [True, False])
def test_another_connection_brings_its_own_server_and_key(kind, way, key, used, monkeypatch):
    monkeypatch.setenv("XINFERENCE_ENDPOINT", HERE)
    monkeypatch.setenv("XINFERENCE_API_KEY", "sk-environment")
    model = kind(model="m")
    if used:
        assert model._connection().server_url == HERE
    if way is configured and kind in {XinferenceEmbeddings, XinferenceRerank}:
        pytest.skip("no Runnable")
    other = XinferenceConnection(THERE, api_key=key)
    changed = way(model, other)
    connection = changed._connection()
    assert connection.server_url == THERE
    assert (connection.api_key.get_secret_value() if connection.api_key else None) == key
    assert THERE in str(changed.lc_attributes)
    assert model._connection().server_url == HERE


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_was_stated_beside_a_connection_still_changes_it(way):
    model = ChatXinference(model="m", server_url=HERE, api_key="sk-stated", timeout=7)
    changed = way(model, XinferenceConnection(THERE, api_key="sk-b"))._connection()
    assert (changed.server_url, changed.timeout) == (HERE, 7)
    assert changed.api_key.get_secret_value() == "sk-stated"
