"""The examples for audio, images and documents run to their end."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples import invoices, meeting_notes, search_images_and_text, voice_assistant
from tests.support.lab import Lab
from xinference_bridge.client import registry as clients
from xinference_bridge.client.auth import registry as gates
from xinference_bridge.models.audio import AudioHandle
from xinference_bridge.protocol.transcript import Segment, Transcription

pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def _server(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    """The environment names the server, and nothing is known of it yet."""
    clients.close_all()
    gates.reset()
    monkeypatch.setenv("XINFERENCE_ENDPOINT", lab.url)
    monkeypatch.setenv("XINFERENCE_API_KEY", lab.api_key)
    yield
    clients.close_all()


def _hear(monkeypatch: pytest.MonkeyPatch, *said: str) -> None:
    """Have speech to text answer at once: tests/core/test_whisper.py asks the real model, which takes minutes."""
    segments = [Segment(2.0 * place, 2.0 * place + 2, text) for place, text in enumerate(said)]
    heard = Transcription(" ".join(said), segments=segments)
    monkeypatch.setattr(AudioHandle, "transcribe", lambda *_args, **_keywords: heard)


def test_a_spoken_question_gets_a_spoken_answer(capsys, monkeypatch, tmp_path):
    _hear(monkeypatch, "What is the weather in Paris and in London?")
    out = tmp_path / "answer.mp3"
    voice_assistant.main("tiny-chat", "whisper", "kokoro", voice_assistant.QUESTION, out)
    heard, answer, spoken = capsys.readouterr().out.splitlines()
    assert heard == "> What is the weather in Paris and in London?"
    assert answer == "It is sunny in Paris and raining in London."
    assert spoken == "spoken into answer.mp3"
    assert out.read_bytes().startswith(b"\xff")


def test_a_meeting_is_written_down_with_its_times(capsys, monkeypatch):
    _hear(monkeypatch, "Good morning.", "The release is on Friday.")
    meeting_notes.main("tiny-chat", "whisper")
    transcript, _, notes = capsys.readouterr().out.partition("\n\n")
    assert transcript == "[00:00] Good morning.\n[00:02] The release is on Friday."
    assert notes.strip()


def test_an_invoice_becomes_an_object(capsys):
    invoices.main("tiny-chat", "jina-ocr")
    assert capsys.readouterr().out.startswith("invoice.png: Invoice(number=")


def test_an_image_is_found_among_texts(capsys):
    images = [Path(__file__).parents[1] / "data" / f"{name}.png" for name in ("red", "blue")]
    search_images_and_text.main("qwen3-vl-embedding", "red", *images)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "'red' in 2 images and 5 texts:"
    assert said[1].endswith("red.png")
