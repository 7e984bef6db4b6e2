"""The site reads the repository's URL from one file."""

from __future__ import annotations

import importlib.util
from types import ModuleType, SimpleNamespace

import pytest

from tests.docs.conftest import ROOT


@pytest.fixture
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_url_there_is_no_link(hooks: ModuleType) -> None:
    assert hooks.repository("# a comment\n\n") is None


def test_a_url_becomes_the_link(hooks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPOSITORY_URL", "https://example.org/team/xinference-bridge.git\n")
    config = hooks.on_config(SimpleNamespace(extra={}, repo_url=None, repo_name=None))
    assert (config.repo_url, config.repo_name) == (
        "https://example.org/team/xinference-bridge",
        "team/xinference-bridge",
    )


@pytest.mark.parametrize("text", ["git@example.org:a/b", "https://example.org/a\nhttps://example.org/b"])
def test_anything_else_is_an_error(hooks: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match=r"must contain one https:// URL"):
        hooks.repository(text)


def test_no_other_file_of_the_site_has_the_url(hooks: ModuleType) -> None:
    assert "repo_url" not in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert hooks.repository() is None or hooks.repository().startswith("https://")
