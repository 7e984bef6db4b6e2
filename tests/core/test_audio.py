"""Speech to text and text to speech on the lab's Whisper and Kokoro, sync and async."""

from __future__ import annotations

import io
import wave
from typing import Any

import pytest

from tests.core.media_calls import ENGLISH, MODES, RED, call
from xinference_bridge import (
    XinferenceBadRequestError,
    XinferenceConfigurationError,
    XinferenceConnection,
    XinferenceModelTypeError,
    XinferenceUnsupportedError,
)

pytestmark = pytest.mark.parametrize("mode", MODES)
SAID = "The capital of France is Paris."


@pytest.fixture
def audio(lab: Any) -> Any:
    """The handle of a model of the lab by its UID."""
    return XinferenceConnection(lab.url, api_key=lab.api_key, timeout=900).audio


@pytest.fixture
def nowhere() -> Any:
    """A handle that must not send any request."""
    return XinferenceConnection("http://nowhere.invalid:9997").audio("m")


@pytest.mark.server
@pytest.mark.parametrize(("audio_format", "magic"), [("mp3", b"\xff"), ("wav", b"RIFF"), ("flac", b"fLaC")])
def test_a_text_is_spoken_in_the_format_asked_for(mode, audio, audio_format, magic):
    assert call(mode, audio("kokoro"), "speak", "Hello.", format=audio_format).startswith(magic)


@pytest.mark.server
def test_a_model_that_refuses_to_stream_speaks_sentence_by_sentence(mode, audio):
    pieces = call(mode, audio("kokoro"), "stream_speech", "Hello. How are you?", format="wav", voice="af_heart")
    assert len(pieces) == 2
    with wave.open(io.BytesIO(b"".join(pieces))) as samples:
        assert (samples.getframerate(), samples.getnchannels()) == (24000, 1)


@pytest.mark.server
def test_a_text_that_is_being_written_is_spoken_by_its_sentences(mode, audio):
    pieces = call(mode, audio("kokoro"), "stream_speech", iter(["Hel", "lo. How a", "re you"]))
    assert [piece[:1] for piece in pieces] == [b"\xff", b"\xff"]


@pytest.mark.server
@pytest.mark.parametrize(
    ("uid", "verb", "needs"),
    [
        ("whisper", "speak", "of type audio with the ability audio2text; this call needs a text-to-speech model"),
        ("kokoro", "transcribe", "this call needs a speech-to-text model. Running speech-to-text models: whisper"),
        ("tiny-chat", "transcribe", "of type LLM .* this call needs a speech-to-text model"),
        ("minilm", "translate", "of type embedding .* this call needs a speech-to-text model"),
        ("tiny-sd", "speak", "of type image .* Running text-to-speech models: kokoro"),
    ],
    ids=["whisper", "kokoro", "chat", "embedding", "image"],
)
def test_a_model_of_another_kind_is_named_with_those_that_could(mode, audio, uid, verb, needs):
    with pytest.raises(XinferenceModelTypeError, match=needs):
        call(mode, audio(uid), verb, "Hello." if verb == "speak" else ENGLISH)


@pytest.mark.server
@pytest.mark.parametrize(
    ("uid", "verb", "first", "keywords", "error", "told"),
    [
        ("kokoro", "speak", "Hi.", {"voice": "nobody"}, XinferenceBadRequestError, "unknown voice"),
        ("kokoro", "speak", "Hi.", {"format": "opus"}, XinferenceUnsupportedError, "take mp3, wav or flac"),
        ("kokoro", "speak", "Hi.", {"prompt_audio": ENGLISH}, XinferenceUnsupportedError, "not imitate voices"),
        ("kokoro", "stream_speech", "Hi.", {"format": "flac"}, XinferenceUnsupportedError, "sentence by sentence"),
    ],
    ids=["voice", "format", "cloning", "flac stream"],
)
def test_an_opaque_500_says_what_it_means(mode, audio, *, uid, verb, first, keywords, error, told):
    with pytest.raises(error, match=told):
        call(mode, audio(uid), verb, first, **keywords)


@pytest.mark.parametrize(
    ("verb", "first", "keywords", "told"),
    [
        ("transcribe", b"", {}, "the audio is empty"),
        ("transcribe", RED, {}, "must be an audio file, got a file of type image/png"),
        ("translate", b"<html>not found</html>", {}, "got text that begins with"),
        ("transcribe", "/nowhere.wav", {}, "cannot be read from '/nowhere.wav': No such file"),
        ("transcribe", "https://example.org/a.wav", {}, "download it first"),
        ("transcribe", "data:audio/wav,xx", {}, "data URL in base64"),
        ("transcribe", io.StringIO("text"), {}, "binary mode"),
        ("transcribe", 7, {}, "got int"),
        ("transcribe", ENGLISH, {"timestamps": "words"}, "timestamps must be"),
        ("transcribe", ENGLISH, {"temperature": "0"}, "temperature must be a number, got '0'"),
        ("transcribe", ENGLISH, {"temperature": -1}, "temperature must be 0 or more"),
        ("transcribe", ENGLISH, {"language": ""}, "language is empty"),
        ("speak", "", {}, "the text to speak is empty"),
        ("speak", "...", {}, "no letters or digits"),
        ("speak", None, {}, "must be a string, got NoneType"),
        ("speak", ["Hi."], {}, "must be a string, got list"),
        ("speak", "Hi.", {"speed": 0}, "speed must be more than 0, got 0"),
        ("speak", "Hi.", {"speed": float("nan")}, "speed must be a number"),
        ("speak", "Hi.", {"format": "mp4"}, "format must be one of mp3"),
        ("speak", "Hi.", {"voice": 3}, "voice must be a string, got int"),
        ("speak", "Hi.", {"prompt_text": "Hello."}, "there is no prompt_audio"),
        ("speak", "Hi.", {"prompt_audio": RED}, "prompt_audio must be an audio file"),
        ("speak", "Hi.", {"parameters": {"x": object()}}, "cannot be sent as JSON"),
        ("stream_speech", " ", {}, "the text to speak is empty"),
        ("stream_speech", [7], {}, "must be strings, got int"),
    ],
)
def test_bad_input_is_named_before_it_is_sent(mode, nowhere, *, verb, first, keywords, told):
    with pytest.raises(XinferenceConfigurationError, match=told):
        call(mode, nowhere, verb, first, **keywords)
