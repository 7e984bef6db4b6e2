"""The demo runs to its end, and prints the answers of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from examples import quickstart

if TYPE_CHECKING:
    from tests.support.lab import Lab


@pytest.mark.server
def test_the_quickstart_answers_from_a_chain_and_from_documents(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XINFERENCE_ENDPOINT", lab.url)
    monkeypatch.setenv("XINFERENCE_API_KEY", lab.api_key)

    assert quickstart.main() == 0

    printed = capsys.readouterr().out
    assert printed.startswith(f"Asking the Xinference server at {lab.url}")
    assert "The capital of France is Paris." in printed
    assert "The lighthouse of Vardholm was built in 1872." in printed
    assert "source: " in printed
