"""The examples of sound, images and documents run whole."""

from __future__ import annotations

import pytest

from examples import invoices, meeting_notes, search_images_and_text, voice_assistant
from tests.support.lab import Lab
from xinference_bridge.client import registry as clients
from xinference_bridge.client.auth import registry as gates

pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def _server(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    """The environment names the server, and nothing is known of it yet."""
    clients.close_all()
    gates.reset()
    monkeypatch.setenv("XINFERENCE_ENDPOINT", lab.url)
    monkeypatch.setenv("XINFERENCE_API_KEY", lab.api_key)
    monkeypatch.setenv("XINFERENCE_TIMEOUT", "900")
    yield
    clients.close_all()


def test_a_spoken_question_gets_a_spoken_answer(capsys, tmp_path):
    out = tmp_path / "answer.mp3"
    voice_assistant.main("tiny-chat", "whisper", "kokoro", voice_assistant.QUESTION, out)
    heard, answer, spoken = capsys.readouterr().out.splitlines()
    assert heard == "> What is the weather in Paris and in London?"
    assert answer == "It is sunny in Paris and raining in London."
    assert spoken == "spoken into answer.mp3"
    assert out.read_bytes().startswith(b"\xff")


def test_a_meeting_is_written_down_with_its_times(capsys):
    meeting_notes.main("smollm2", "whisper")
    transcript, _, notes = capsys.readouterr().out.partition("\n\n")
    assert transcript.startswith("[00:00] Good morning.")
    assert notes.strip()


def test_an_invoice_becomes_an_object(capsys):
    invoices.main("smollm2", "jina-ocr")
    assert capsys.readouterr().out.startswith("invoice.png: Invoice(number=")


def test_an_image_is_found_among_texts(capsys):
    search_images_and_text.main("qwen3-vl-embedding")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "'a white page' in 2 images and 5 texts:"
    assert said[1].endswith("invoice.png")
