"""Each example runs to its end, and prints its models' answers."""

from __future__ import annotations

import asyncio
import gc

import pytest
from fastapi.testclient import TestClient

from examples import (
    agent_workflow_llamaindex,
    chat_with_history,
    faiss_index,
    fastapi_stream,
    one_connection,
    rag_langchain,
    rag_llamaindex,
    reasoning,
    rerank,
    structured_extraction,
    tool_agent_langgraph,
)
from tests.support.lab import Lab
from xinference_bridge.client import registry as clients
from xinference_bridge.client.auth import registry as gates

CHAT, EMBEDDING, RERANK, THINK = "tiny-chat", "minilm", "tiny-rerank", "tiny-think"
pytestmark = [
    pytest.mark.server,
    # The workflows of LlamaIndex look at all attributes of an agent, deprecated ones of pydantic among them.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    # The memory of its chat engines and agents opens a database of its own, and leaves it open.
    pytest.mark.filterwarnings("ignore:.*was deleted before being closed:ResourceWarning"),
]


@pytest.fixture(autouse=True)
def _server(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    """The environment names the server, and nothing is known of it yet."""
    clients.close_all()
    gates.reset()
    monkeypatch.setenv("XINFERENCE_ENDPOINT", lab.url)
    monkeypatch.setenv("XINFERENCE_API_KEY", lab.api_key)
    yield
    clients.close_all()


@pytest.fixture
def _an_event_loop():
    """LlamaIndex's sync calls make one where the thread has none, and leave it open: this one is closed."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
    gc.collect()  # here, where that warning is expected, and not in whichever test comes later


@pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")  # of FAISS
def test_vectors_go_into_faiss_as_arrays(capsys):
    faiss_index.main(EMBEDDING)
    said = capsys.readouterr().out
    assert "passages indexed" in said
    assert "The lighthouse of Vardholm was built in 1872" in said


def test_the_chat_remembers_what_was_said(capsys):
    chat_with_history.main(CHAT)
    assert capsys.readouterr().out.splitlines()[-1] == "Your name is Ada."


def test_langchain_answers_from_documents_and_names_them(capsys):
    rag_langchain.main(CHAT, EMBEDDING)
    printed = capsys.readouterr().out
    assert "The cannery was founded by the sisters Alma and Ebba Dahl." in printed
    assert "cannery.md" in printed.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.usefixtures("_an_event_loop")
def test_llamaindex_answers_a_question_and_the_next_one(capsys):
    rag_llamaindex.main(CHAT, EMBEDDING)
    printed = capsys.readouterr().out
    assert "The lighthouse of Vardholm was built in 1872." in printed
    assert "The keeper of the lighthouse is Jonas Lindqvist." in printed
    assert "from lighthouse.md" in printed


def test_the_langgraph_agent_calls_its_tool_twice_and_sums_up(capsys):
    tool_agent_langgraph.main(CHAT)
    *steps, answer = capsys.readouterr().out.splitlines()[1:]
    assert steps[:2] == ["  calls get_weather with {'city': 'Paris'}", "  calls get_weather with {'city': 'London'}"]
    # LangGraph runs the two at once, and tells of each when it is done.
    assert sorted(steps[2:]) == ["  tool: It's raining.", "  tool: It's sunny."]
    assert answer == "  ai: It is sunny in Paris and raining in London."


@pytest.mark.slow
async def test_the_llamaindex_agents_hand_over_and_calculate(capsys):
    await agent_workflow_llamaindex.main(CHAT)
    gc.collect()  # here, where that warning is expected, and not in whichever test comes later
    printed = capsys.readouterr().out
    assert "handoff" in printed
    assert "multiply" in printed
    assert printed.splitlines()[-1] == "  6 times 7 is 42."


def test_a_person_is_extracted(capsys):
    structured_extraction.main(CHAT)
    assert capsys.readouterr().out == "Ada Lovelace, 36\n"


@pytest.mark.slow
@pytest.mark.usefixtures("_an_event_loop")
def test_one_connection_serves_both_frameworks(capsys):
    one_connection.main(CHAT, EMBEDDING)
    assert "Boat Day is on the first Sunday in August." in capsys.readouterr().out


def test_the_reranker_keeps_the_best_three(capsys):
    rerank.main(EMBEDDING, RERANK)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "8 found, 3 kept:"
    scores = [float(line.split()[0]) for line in lines[2:]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 3


def test_reasoning_is_told_apart_and_can_be_left_out(capsys):
    reasoning.main(THINK)
    _, question, rest = capsys.readouterr().out.partition("9.9 or 9.11?\n")
    assert question
    thought, _, answers = rest.partition(")")
    assert thought.startswith("(")
    assert "0.90 is more than 0.11." in thought
    assert answers.split("\n")[-3:] == ["9.9 is larger than 9.11.", "At once: 9.9 is larger than 9.11.", ""]


def test_the_endpoint_streams_the_answer(monkeypatch):
    monkeypatch.setenv("XINFERENCE_UID", CHAT)
    with TestClient(fastapi_stream.make_app()) as client:
        answer = client.get("/ask", params={"question": "What is the capital of France?"})
    assert answer.status_code == 200
    assert answer.text == "The capital of France is Paris."


def test_the_endpoint_says_502_when_the_model_does_not_run(monkeypatch):
    monkeypatch.setenv("XINFERENCE_UID", "no-such-model")
    with TestClient(fastapi_stream.make_app()) as client:
        answer = client.get("/ask", params={"question": "Hello"})
    assert answer.status_code == 502
    assert "XinferenceModelNotFoundError" in answer.json()["detail"]
