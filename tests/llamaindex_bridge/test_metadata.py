"""The metadata of a model for LlamaIndex: fetched from the server once, or given by the user."""

from __future__ import annotations

import logging

import pytest
from llama_index.core.constants import DEFAULT_NUM_OUTPUTS

from llamaindex_xinference_bridge import XinferenceLLM
from xinference_bridge.protocol.model_info import ModelInfo


@pytest.mark.server
def test_the_server_tells_the_context_and_the_abilities_and_is_asked_once(either_llm, vcr):
    metadata = either_llm.metadata
    assert either_llm.metadata == metadata
    assert metadata.context_window == 4096
    assert metadata.is_chat_model
    assert metadata.is_function_calling_model
    assert metadata.num_output == 120
    assert metadata.model_name == either_llm.model_uid
    if vcr is not None:
        assert vcr.play_count <= 1


@pytest.mark.server
def test_two_models_on_one_connection_share_what_is_known(connection, vcr):
    first = XinferenceLLM("tiny-chat", connection=connection)
    second = XinferenceLLM("tiny-chat", connection=connection, temperature=0)
    assert first.metadata == second.metadata
    assert first.metadata.num_output == DEFAULT_NUM_OUTPUTS


@pytest.mark.server
async def test_prepared_once_metadata_asks_nothing_inside_the_loop(llm, monkeypatch):
    prepared = await llm.aprepare()
    monkeypatch.setattr("xinference_bridge.client.client.Client.run", None)  # what would block the loop
    assert llm.metadata == prepared


@pytest.mark.server
async def test_awaited_calls_never_block_the_loop_to_learn_what_the_model_is(llm, monkeypatch):
    from llama_index.core.prompts import PromptTemplate

    monkeypatch.setattr("xinference_bridge.client.client.Client.run", None)
    assert await llm.apredict(PromptTemplate("What is the capital of {country}?"), country="France")
    tokens = await llm.astream(PromptTemplate("What is the capital of {country}?"), country="France")
    assert "".join([token async for token in tokens]) == "The capital of France is Paris."


def test_stated_metadata_is_not_requested():
    llm = XinferenceLLM(
        "m",
        "http://127.0.0.1:9",
        context_window=1000,
        is_chat_model=False,
        is_function_calling_model=False,
        max_tokens=50,
    )
    metadata = llm.metadata  # the network is blocked: asking would fail the test
    assert (metadata.context_window, metadata.num_output) == (1000, 50)
    assert not metadata.is_chat_model
    assert not metadata.is_function_calling_model


@pytest.mark.parametrize(
    ("abilities", "chats", "calls"),
    [
        (("generate",), False, False),
        (("generate", "chat"), True, False),
        (("generate", "chat", "tools"), True, True),
    ],
)
def test_the_abilities_decide(abilities, chats, calls):
    llm = XinferenceLLM("m", "http://127.0.0.1:9")
    metadata = llm._metadata(ModelInfo("m", "m", "LLM", abilities, context_length=8192))
    assert (metadata.is_chat_model, metadata.is_function_calling_model) == (chats, calls)
    assert metadata.context_window == 8192  # whole, without a divisor


def test_a_context_that_the_server_does_not_tell_is_said_to_be_a_guess(caplog):
    with caplog.at_level(logging.WARNING):
        XinferenceLLM("m", "http://127.0.0.1:9")._metadata(ModelInfo("m", "m", "LLM", ("chat",)))
    assert "Set it with context_window=" in caplog.text


def test_events_tell_of_the_model_without_asking_the_server():
    payload = XinferenceLLM("m", "http://127.0.0.1:9", api_key="sk-" + "secret", temperature=0).to_payload()
    assert payload == {"class_name": "XinferenceLLM", "model": "m", "model_name": "m", "temperature": 0}
