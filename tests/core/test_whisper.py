"""Whisper on the lab transcribes the speech of espeak-ng, and its responses are parsed the same, sync and async."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.core.asks import connection_to
from tests.core.media_calls import ENGLISH, FRENCH, MODES, call, recorded_body
from tests.support.fault_proxy import http
from xinference_bridge import XinferenceBadRequestError, XinferenceConnection, XinferenceProtocolError
from xinference_bridge.protocol.transcript import Segment

SAID = "The capital of France is Paris."
PATH = "/v1/audio/transcriptions"
#: As Whisper base on transformers answered for `capital_en.wav` (4.1.0). It reports "english" for every language.
WORDS = {
    "task": "transcribe",
    "language": "english",
    "duration": 2.3,
    "text": " The capital of France is Paris.",
    "words": [
        {"word": " The", "start": 0.0, "end": 0.14},
        {"word": " capital", "start": 0.14, "end": 0.6},
        {"word": " of", "start": 0.6, "end": 0.86},
        {"word": " France", "start": 0.86, "end": 1.1},
        {"word": " is", "start": 1.1, "end": 1.42},
        {"word": " Paris.", "start": 1.42, "end": 2.3},
    ],
}
SEGMENTS = orjson.loads(recorded_body("test_whisper_gives_segments_with_their_times"))
_WHISPER = {"id": "whisper", "model_type": "audio", "model_name": "whisper", "model_ability": ["audio2text"]}


@pytest.fixture
def whisper(lab: Any) -> Any:
    """The lab's Whisper; it takes its time on a busy machine."""
    return XinferenceConnection(lab.url, api_key=lab.api_key, timeout=1500).audio("whisper")


@pytest.mark.server
def test_a_recording_is_heard_and_its_sending_watched(whisper):
    seen: list[tuple[int, int]] = []
    heard = call("sync", whisper, "transcribe", ENGLISH, on_progress=lambda *now: seen.append(now))
    assert (heard.text, heard.segments, heard.words) == (SAID, [], [])
    assert [sent for sent, _ in seen] == sorted(sent for sent, _ in seen)
    assert seen[-1][0] == seen[-1][1] > ENGLISH.stat().st_size


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
class TestAnswers:
    """What Whisper answered, read."""

    def test_french_is_translated_into_english(self, server, mode):
        path = "/v1/audio/translations"
        server.on(path, http(200, recorded_body("test_whisper_translates_french_into_english")))
        with FRENCH.open("rb") as file:
            heard = call(mode, connection_to(server).audio("m"), "translate", file)
        assert heard.text.startswith("the capital of")
        assert FRENCH.read_bytes() in server.seen(path)[0].body

    def test_segments_become_subtitles(self, server, mode):
        server.on(PATH, http(200, orjson.dumps(SEGMENTS)))
        heard = call(mode, connection_to(server).audio("m"), "transcribe", ENGLISH, timestamps="segment")
        assert heard.to_srt() == f"1\n00:00:00,000 --> 00:00:02,000\n{SAID}\n"
        assert heard.to_vtt() == f"WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n{SAID}\n"
        assert heard.segments == [Segment(0.0, 2.0, SAID)]
        assert (heard.text, heard.duration, heard.language) == (SAID, 2.0, None)

    def test_words_have_times(self, server, mode):
        server.on(PATH, http(200, orjson.dumps(WORDS)))
        heard = call(mode, connection_to(server).audio("m"), "transcribe", ENGLISH, timestamps="word")
        assert " ".join(word.word for word in heard.words) == SAID
        assert heard.to_srt() == f"1\n00:00:00,000 --> 00:00:02,300\n{SAID}\n"
        assert b'name="timestamp_granularities[]"\r\n\r\nword' in server.seen(PATH)[0].body

    @pytest.mark.parametrize(
        ("asked", "said", "told"), [("fr", "english", "fr"), (None, "english", None), (None, "fr", "fr")]
    )
    def test_a_language_is_the_one_asked_for_and_never_made_up(self, server, mode, *, asked, said, told):
        server.on(PATH, http(200, orjson.dumps(SEGMENTS | {"language": said})))
        heard = call(mode, connection_to(server).audio("m"), "transcribe", ENGLISH, language=asked)
        assert heard.language == told

    @pytest.mark.parametrize(
        "answer", [{}, {"text": None}, {"text": "a", "segments": 1}, {"text": "a", "words": [1]}, []]
    )
    def test_an_answer_of_another_shape_is_named(self, server, mode, answer):
        server.on(PATH, http(200, orjson.dumps(answer)))
        with pytest.raises(XinferenceProtocolError, match="without"):
            call(mode, connection_to(server).audio("m"), "transcribe", ENGLISH, timestamps="word")

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            (
                "Soundfile is either not in the correct format or is malformed.",
                "cannot decode the audio file",
            ),
            ("Unsupported language: klingon. Language should be one of: ['english', 'chinese']", "such as 'french'"),
            (
                "WhisperModel._async_transcription() got an unexpected keyword argument 'bogus'",
                "does not take this parameter",
            ),
        ],
        ids=["malformed", "language", "parameter"],
    )
    def test_an_opaque_500_says_what_it_means(self, server, mode, said, told):
        detail = orjson.dumps({"detail": f"[address=127.0.0.1:44813, pid=1] {said}"})
        server.on(PATH, http(500, detail))
        server.on("/v1/models", http(200, orjson.dumps({"data": [_WHISPER]})))
        with pytest.raises(XinferenceBadRequestError, match=told):
            call(mode, connection_to(server).audio("whisper"), "transcribe", ENGLISH)
