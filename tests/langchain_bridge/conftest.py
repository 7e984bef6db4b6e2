"""Shared fixtures of the LangChain tests: the lab's connection, and its models by purpose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from langchain_xinference_bridge import ChatXinference
from tests.support.lab import Lab
from xinference_bridge import XinferenceConnection
from xinference_bridge.client import registry as clients
from xinference_bridge.client.auth import registry as gates

#: The same weights on either engine.
ENGINES = ("tiny-chat", "tiny-chat-hf")
#: Reasoning parsed by the server on either engine, and left in the text.
REASONING = ("tiny-think", "tiny-think-hf", "tiny-think-raw")


@pytest.fixture(autouse=True)
def _nothing_left_of_other_tests() -> Iterator[None]:
    """What is known of models and keys is kept for the whole process: each test's recording starts without."""
    gates.reset()
    yield
    clients.close_all()
    gates.reset()


@pytest.fixture
def connection(lab: Lab) -> XinferenceConnection:
    return XinferenceConnection(server_url=lab.url, api_key=lab.api_key)


@pytest.fixture(params=ENGINES)
def uid(request: pytest.FixtureRequest) -> str:
    """Each of the two engines."""
    return str(request.param)


@pytest.fixture
def chat(uid: str, connection: XinferenceConnection) -> ChatXinference:
    """The chat model on each of the two engines."""
    return chat_on(uid, connection)


def chat_on(uid: str, connection: XinferenceConnection, **settings: Any) -> ChatXinference:
    """A chat model that answers the same every time."""
    return ChatXinference(model_uid=uid, connection=connection, **{"temperature": 0, "max_tokens": 200, **settings})
