"""The examples as scripts: `--help` explains how to call them, and a failure is one line."""

from __future__ import annotations

import runpy
import sys

import pytest

from tests.docs.conftest import ROOT

_SCRIPTS = sorted(
    path
    for path in (ROOT / "examples").glob("*.py")
    if "__main__" in path.read_text(encoding="utf-8") and path.stem != "quickstart" and "corpus" not in path.stem
)


@pytest.mark.parametrize("path", _SCRIPTS, ids=lambda path: path.stem)
def test_help_says_how_to_call_it(path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert not ended.value.code
    assert f"python examples/{path.name}" in capsys.readouterr().out


@pytest.mark.parametrize("path", _SCRIPTS, ids=lambda path: path.stem)
def test_a_failure_is_one_line_and_leaves_no_file(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path)])
    monkeypatch.setenv("XINFERENCE_ENDPOINT", "ftp://somewhere")
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert str(ended.value.code).startswith("XinferenceConfigurationError: ")
    assert "\n" not in str(ended.value.code)
    assert list(tmp_path.iterdir()) == []
