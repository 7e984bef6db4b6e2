"""Shared fixtures of the LlamaIndex tests: a new connection to the lab for each test, and its models."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamaindex_xinference_bridge import XinferenceEmbedding, XinferenceLLM, XinferenceRerank
from xinference_bridge import XinferenceConnection
from xinference_bridge.client import registry as clients
from xinference_bridge.client.auth import registry as gates

DATA = Path(__file__).parent.parent.parent / "examples" / "data"

#: The same weights on two engines: llama.cpp enforces schemas and parses tool calls, transformers does neither.
ENGINES = {"llama.cpp": "tiny-chat", "transformers": "tiny-chat-hf"}


@pytest.fixture(autouse=True)
def _nothing_left_of_other_tests():
    """What is known of models and keys is kept for the whole process: each test's recording starts without."""
    gates.reset()
    yield
    clients.close_all()
    gates.reset()


@pytest.fixture
def connection(lab):
    return XinferenceConnection(lab.url, api_key=lab.api_key)


@pytest.fixture
def llm(connection):
    return XinferenceLLM("tiny-chat", connection=connection, temperature=0, max_tokens=120)


@pytest.fixture(params=list(ENGINES.values()), ids=list(ENGINES))
def either_llm(request, connection):
    """The chat model on llama.cpp, then on transformers."""
    return XinferenceLLM(request.param, connection=connection, temperature=0, max_tokens=120)


@pytest.fixture
def embed_model(connection):
    return XinferenceEmbedding("minilm", connection=connection)


@pytest.fixture
def reranker(connection):
    return XinferenceRerank("tiny-rerank", connection=connection, top_n=2)
