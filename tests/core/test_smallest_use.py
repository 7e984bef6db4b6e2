"""The smallest request for each kind of model, and the files that it needs."""

from __future__ import annotations

import wave
import zlib
from io import BytesIO

import pytest

from xinference_bridge import XinferenceConnection
from xinference_bridge.protocol.model_info import ModelInfo
from xinference_bridge.protocol.smallest_use import second_of_silence, smallest_request, white_image


@pytest.mark.parametrize(
    ("kind", "abilities", "path"),
    [
        ("LLM", ("chat",), "/v1/chat/completions"),
        ("LLM", ("generate",), "/v1/completions"),
        ("embedding", ("embed",), "/v1/embeddings"),
        ("rerank", ("rerank",), "/v1/rerank"),
        ("audio", ("audio2text",), "/v1/audio/transcriptions"),
        ("audio", ("text2audio",), "/v1/audio/speech"),
        ("image", ("text2image",), "/v1/images/generations"),
        ("image", ("ocr",), "/v1/images/ocr"),
    ],
)
def test_each_kind_of_model_is_asked_at_its_own_endpoint(kind, abilities, path):
    assert smallest_request(ModelInfo("m", "m", kind, abilities)).path == path


def test_the_silence_is_a_second_of_wav():
    with wave.open(BytesIO(second_of_silence())) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 16_000)
        assert sound.getnframes() == 16_000
        assert not any(sound.readframes(16_000))


def test_the_page_is_a_white_png():
    png = white_image()
    data = png[png.index(b"IDAT") + 4 : png.index(b"IEND") - 8]
    rows = zlib.decompress(data)
    assert rows == (b"\0" + b"\xff" * 168) * 56


@pytest.mark.server
@pytest.mark.parametrize("uid", ["kokoro", "jina-ocr"])
def test_a_check_that_tries_a_model_asks_it_what_it_does(lab, uid):
    connection = XinferenceConnection(lab.url, api_key=lab.api_key)
    assert connection.check(uid, try_it=True).uid == uid
