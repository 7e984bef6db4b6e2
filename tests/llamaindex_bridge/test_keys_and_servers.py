"""A key goes to the server that it belongs to, however a LlamaIndex model is copied, changed or written down."""

# mypy: no-check-untyped-defs

from __future__ import annotations

import asyncio
import copy
import json
import pickle

import pytest

from llamaindex_xinference_bridge import Xinference, XinferenceEmbedding, XinferenceRerank, XinferenceSparseEmbedding
from tests.core.asks import MODES, connection_to, healthy
from tests.support.fault_proxy import fault_server
from xinference_bridge import XinferenceConnection
from xinference_bridge.models.base import ModelHandle

CLASSES = (Xinference, XinferenceEmbedding, XinferenceRerank, XinferenceSparseEmbedding)
HERE, THERE = "http://environment.example:9997", "http://b.example:9997"


def copied(model, connection):
    return model.model_copy(update={"connection": connection})


def assigned(model, connection):
    twin = copy.copy(model)
    twin.connection = connection
    return twin


def pickled_and_copied(model, connection):
    return copied(pickle.loads(pickle.dumps(model)), connection)


def written_and_assigned(model, connection):
    if isinstance(model, XinferenceSparseEmbedding):
        pytest.skip("llama-index-core's sparse embeddings cannot be written down")
    return assigned(type(model).from_dict(model.to_dict()), connection)


WAYS = (copied, assigned, pickled_and_copied, written_and_assigned)


def key_of(model) -> tuple[str, str | None]:
    connection = model._handle(ModelHandle).connection
    return connection.server_url, connection.api_key.get_secret_value() if connection.api_key else None


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("key", ["sk-b", None])
def test_another_connection_brings_its_own_server_and_key(kind, way, key, monkeypatch):
    monkeypatch.setenv("XINFERENCE_ENDPOINT", HERE)
    monkeypatch.setenv("XINFERENCE_API_KEY", "sk-environment")
    model = kind(model="m")
    changed = way(model, XinferenceConnection(THERE, api_key=key))
    assert key_of(changed) == (THERE, key)
    assert key_of(model) == (HERE, "sk-environment")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_key_stated_beside_a_connection_comes_before_its_own(kind):
    assert key_of(kind(model="m", connection=XinferenceConnection(THERE, api_key="sk-b"), api_key="sk-stated")) == (
        THERE,
        "sk-stated",
    )


@pytest.mark.parametrize("kind", CLASSES[:-1], ids=lambda kind: kind.__name__)
def test_what_is_written_down_holds_no_key(kind):
    model = kind(model="m", connection=XinferenceConnection(THERE, api_key="sk-b", headers={"X-Gate": "sk-gate"}))
    for written in (json.dumps(model.to_dict()), model.to_json(), repr(model), str(model)):
        assert "sk-b" not in written
        assert "sk-gate" not in written


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_the_key_of_the_other_connection_is_what_is_sent(mode: str):
    model = XinferenceEmbedding(model="minilm", server_url=HERE, api_key="sk-here")
    texts = ["a cat", "a dog", "a ship"]
    with fault_server() as server, connection_to(healthy(server), api_key="sk-b") as connection:
        changed = copied(model, connection)
        if mode == "sync":
            changed.get_text_embedding_batch(texts)
        else:
            asyncio.run(changed.aget_text_embedding_batch(texts))
        assert {seen.headers["authorization"] for seen in server.requests} == {"Bearer sk-b"}
