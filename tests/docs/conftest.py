"""Shared fixtures of the documentation's tests."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.docs.running import Page
from tests.support.lab import Lab
from xinference_bridge.client import registry as clients
from xinference_bridge.client.auth import registry as gates

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def page(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Page:
    """A reader's environment: the repository's examples, the server in its variables, no cached state."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XINFERENCE_ENDPOINT", lab.url)
    monkeypatch.setenv("XINFERENCE_API_KEY", lab.api_key)
    return Page(lab, ROOT)


@pytest.fixture(autouse=True)
def _an_event_loop():
    """LlamaIndex's sync calls make one where the thread has none, and leave it open: this one is closed."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture(autouse=True)
def _nothing_left_of_other_tests():
    """Descriptions of models and open sockets are kept for the whole process: each page starts without."""
    clients.close_all()
    gates.reset()
    yield
    clients.close_all()
    gates.reset()
