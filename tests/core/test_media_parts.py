"""Audio is sent in the form that the engine reads, and parts that an engine would silently drop are rejected."""

from __future__ import annotations

import pytest

from tests.core.test_chat_plan import body_of, model
from xinference_bridge import XinferenceUnsupportedError
from xinference_bridge.protocol.chat.plan import plan_chat
from xinference_bridge.protocol.chat.request import ChatCall
from xinference_bridge.protocol.http import JSON

DATA = "data:audio/mpeg;base64,QUJD"
FORMS: list[JSON] = [
    {"type": "audio_url", "audio_url": {"url": DATA}},
    {"type": "audio", "audio_url": {"url": DATA}},
    {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mpeg"}},
]
READ: dict[str, JSON] = {
    "llama.cpp": {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
    "transformers": {"type": "audio", "audio_url": {"url": DATA}},
    "vllm": {"type": "audio_url", "audio_url": {"url": DATA}},
    "sglang": {"type": "audio_url", "audio_url": {"url": DATA}},
}


def part_sent(part: JSON, engine: str) -> JSON:
    call = ChatCall([{"role": "user", "content": [{"type": "text", "text": "What is said?"}, part]}])
    plan = plan_chat("m", call, model(engine, "chat", "audio", "vision"), stream=False)
    sent: JSON = body_of(plan)["messages"][0]["content"][1]
    assert call.messages[0]["content"][1] is part  # type: ignore[index]
    return sent


@pytest.mark.parametrize("engine", READ)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form["type"])
def test_a_sound_in_any_form_goes_out_as_the_engine_reads_it(engine: str, form: JSON):
    assert part_sent(form, engine) == READ[engine]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form["type"])
def test_nothing_is_assumed_of_an_engine_that_is_not_known(form: JSON):
    assert part_sent(form, "mlx") == form


@pytest.mark.parametrize("engine", [*READ, "mlx"])
@pytest.mark.parametrize("kind", ["image_url", "video_url"])
def test_pictures_and_video_go_out_as_they_are(engine: str, kind: str):
    part: JSON = {"type": kind, kind: {"url": "https://example.org/x", "detail": "low"}}
    assert part_sent(part, engine) == part


def test_a_sound_by_url_is_refused_where_the_engine_does_not_fetch_it():
    part: JSON = {"type": "audio_url", "audio_url": {"url": "https://example.org/x.wav"}}
    with pytest.raises(XinferenceUnsupportedError, match=r"llama\.cpp reads sound that stands in the request"):
        part_sent(part, "llama.cpp")
    assert part_sent(part, "vllm") == part


@pytest.mark.parametrize("engine", [*READ, "mlx"])
@pytest.mark.parametrize("kind", ["image", "file", "document", None])
def test_what_an_engine_would_drop_in_silence_is_refused(engine: str, kind: str | None):
    with pytest.raises(XinferenceUnsupportedError, match="content part of type"):
        part_sent({"type": kind, "source": {"data": "QUJD"}}, engine)
