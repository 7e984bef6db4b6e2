"""The page on testing: its files record an app's traffic with a server, and replay it without the server."""

from __future__ import annotations

import json

import pytest

import langchain_xinference_bridge.chat_models  # noqa: F401 - once, and not again in each inner run
from tests.docs.blocks import blocks_of_file
from tests.docs.conftest import ROOT
from tests.support.echo_server import echo_server

_FILES = {b.said: b.text for b in blocks_of_file(ROOT / "docs" / "testing.md", ROOT) if b.remark == "file"}
_ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "It is Paris."}, "finish_reason": "stop"},
    ],
}


@pytest.mark.slow
@pytest.mark.fault_server
def test_the_recipe_records_replays_and_notices_another_question(pytester: pytest.Pytester, monkeypatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # ours are many, and take seconds
    for name, text in _FILES.items():
        pytester.path.joinpath(str(name)).parent.mkdir(exist_ok=True)
        pytester.path.joinpath(str(name)).write_text(text, encoding="utf-8")

    monkeypatch.setenv("XINFERENCE_API_KEY", "sk-of-a-test-that-records")
    with echo_server() as server:
        monkeypatch.setenv("XINFERENCE_ENDPOINT", server.url)
        server.answers["/v1/chat/completions"] = ("application/json", json.dumps(_ANSWER).encode())
        _run(pytester, "--xinference-record=missing").assert_outcomes(passed=1)
    written = pytester.path / "cassettes" / "test_answers" / "test_it_knows_the_capital.yaml"
    recorded = written.read_text(encoding="utf-8")
    assert "capital of France" in " ".join(recorded.split())
    assert "sk-of-a-test" not in recorded

    monkeypatch.delenv("XINFERENCE_API_KEY")
    monkeypatch.delenv("XINFERENCE_ENDPOINT")
    _run(pytester).assert_outcomes(passed=1)

    test = pytester.path / "tests" / "test_answers.py"
    test.write_text(test.read_text(encoding="utf-8").replace("France", "Spain"), encoding="utf-8")
    _run(pytester).assert_outcomes(failed=1)


def _run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "xinference_bridge.testing.plugin", *options)
