"""`langgraph dev` serves graphs with these classes and its guard against blocking calls; each answers over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

GRAPHS = ("chat", "agent", "structured", "rag", "blocking")
ROOT = Path(__file__).parents[2]
SECONDS = 180  # until it answers: on a busy machine the start takes a minute


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running `langgraph dev`."""
    if missing := {"XINFERENCE_ENDPOINT", "XINFERENCE_API_KEY"} - set(os.environ):
        pytest.exit(f"{' and '.join(sorted(missing))} not set: start a lab with `make lab`", 1)
    folder = tmp_path_factory.mktemp("project")
    module = Path(__file__).with_name("graphs.py")
    settings = {"dependencies": ["."], "graphs": {name: f"{module}:{name}" for name in GRAPHS}}
    (folder / "langgraph.json").write_text(json.dumps(settings))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = str(Path(sys.executable).with_name("langgraph"))
    command = [program, "dev", "--no-browser", "--no-reload", "--port", str(port)]
    environment = {
        **os.environ,
        "LANGSMITH_TRACING": "false",
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "PYTHONPATH": str(ROOT),
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}", process, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if requests.get(f"{url}/ok", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.5)
    pytest.fail(f"`langgraph dev` does not answer:\n{log.read_text()[-3000:]}")


def run(url: str, graph: str, given: dict[str, Any]) -> dict[str, Any]:
    """What a graph ends in."""
    response = requests.post(f"{url}/runs/wait", json={"assistant_id": graph, "input": given}, timeout=120)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def asking(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def test_a_chat_answers(served: str) -> None:
    state = run(served, "chat", asking("What is the capital of France?"))
    assert state["messages"][-1]["content"] == "The capital of France is Paris."


def test_an_agent_calls_its_tool_and_answers(served: str) -> None:
    messages = run(served, "agent", asking("What is the weather in Paris?"))["messages"]
    assert [message["type"] for message in messages] == ["human", "ai", "tool", "ai"]
    assert messages[-1]["content"] == "It is sunny in Paris."


def test_an_agent_ends_in_a_value(served: str) -> None:
    state = run(served, "structured", asking("Ada Lovelace was 36 years old."))
    assert state["structured_response"] == {"name": "Ada Lovelace", "age": 36}


def test_documents_are_embedded_found_ranked_and_answered_from(served: str) -> None:
    state = run(served, "rag", {"question": "When was the lighthouse of Vardholm built?"})
    assert len(state.get("documents", [])) == 2, state
    assert state["answer"]


def test_an_answer_streams_token_by_token(served: str) -> None:
    asked = {
        "assistant_id": "chat",
        "input": asking("What is the capital of France?"),
        "stream_mode": ["messages-tuple"],
    }
    with requests.post(f"{served}/runs/stream", json=asked, stream=True, timeout=120) as response:
        data = [json.loads(line[6:]) for line in response.iter_lines(decode_unicode=True) if line.startswith("data: [")]
    words = [chunk["content"] for chunk, _ in data if chunk["type"] == "AIMessageChunk" and chunk["content"]]
    assert "".join(words) == "The capital of France is Paris."
    assert len(words) > 2


def test_the_guard_is_on(served: str) -> None:
    state = run(served, "blocking", asking("What is the capital of France?"))
    assert "BlockingError" in str(state["__error__"])
