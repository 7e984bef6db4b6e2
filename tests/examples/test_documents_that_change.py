"""The two examples that use only the framework: indexed documents are not embedded again."""

from __future__ import annotations

import asyncio
import gc
import shutil
from pathlib import Path

import pytest

from examples import index_langchain, ingest_llamaindex
from tests.support.lab import Lab
from xinference_bridge.client import registry as clients
from xinference_bridge.client.auth import registry as gates
from xinference_bridge.models.embedding import EmbeddingHandle

EMBEDDING = "minilm"
pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def _server(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    clients.close_all()
    gates.reset()
    monkeypatch.setenv("XINFERENCE_ENDPOINT", lab.url)
    monkeypatch.setenv("XINFERENCE_API_KEY", lab.api_key)
    yield
    clients.close_all()


@pytest.fixture(autouse=True)
def _an_event_loop():
    """LlamaIndex's sync calls make one where the thread has none, and leave it open: this one is closed."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
    gc.collect()


@pytest.fixture
def documents(tmp_path) -> Path:
    return Path(shutil.copytree(Path(index_langchain.__file__).parent / "data", tmp_path / "data"))


@pytest.fixture
def sent(monkeypatch) -> list[list[str]]:
    """The texts of each request for embeddings."""
    requests: list[list[str]] = []
    embed = EmbeddingHandle.embed

    def counting(model, texts, *arguments, **named):
        requests.append(list(texts))
        return embed(model, texts, *arguments, **named)

    monkeypatch.setattr(EmbeddingHandle, "embed", counting)
    return requests


def runs(example, tmp_path, documents, sent, capsys):
    """What the example prints, and which texts it sends."""

    def run(question="When is Boat Day?"):
        sent.clear()
        example.main(EMBEDDING, str(tmp_path / "kept"), str(documents), question)
        return capsys.readouterr().out, [text for texts in sent for text in texts if text != question]

    return run


@pytest.mark.slow
def test_langchain_embeds_nothing_in_a_second_run_and_then_only_what_is_new(tmp_path, documents, sent, capsys):
    run = runs(index_langchain, tmp_path, documents, sent, capsys)
    printed, first = run()
    assert f"{len(first)} embedded, 0 known, 0 taken away" in printed
    printed, again = run()
    assert again == []
    assert f"0 embedded, {len(first)} known, 0 taken away" in printed
    assert "first Sunday in August" in printed
    with (documents / "soup.md").open("a", encoding="utf-8") as file:
        file.write("\n\nThe harbour cat is called Sardine.")
    (documents / "ferry.md").unlink()
    printed, new = run("What is the harbour cat called?")
    assert [text.strip() for text in new][-1] == "The harbour cat is called Sardine."
    assert "soup.md" in printed
    assert "Sardine" in printed
    assert len(new) <= 2  # with the paragraph before, which no longer ends in a newline
    assert "0 taken away" not in printed


@pytest.mark.slow
def test_llamaindex_embeds_nothing_in_a_second_run_and_then_only_what_changed(tmp_path, documents, sent, capsys):
    run = runs(ingest_llamaindex, tmp_path, documents, sent, capsys)
    printed, first = run()
    assert f"{len(first)} passages new, 0 documents gone" in printed
    printed, again = run()
    assert again == []
    assert "0 passages new, 0 documents gone" in printed
    soup, ferry = documents / "soup.md", (documents / "ferry.md").read_text(encoding="utf-8")
    soup.write_text("# The harbour cat\n\nIt is called Sardine.\n", encoding="utf-8")
    (documents / "ferry.md").unlink()
    printed, new = run("What is the harbour cat called?")
    assert len(new) == 1
    assert "Sardine" in new[0]
    assert "1 passages new, 1 documents gone" in printed
    assert "soup.md: # The harbour cat" in printed
    (documents / "ferry.md").write_text(ferry, encoding="utf-8")
    printed, _ = run("How long does the ferry take to Vardholm?")
    assert "1 passages new, 0 documents gone" in printed
    assert "ferry.md" in printed
