"""Splits texts into sentences, joins audio, and writes transcripts as subtitles."""

from __future__ import annotations

import io
import wave

import pytest

from xinference_bridge import XinferenceConfigurationError, XinferenceProtocolError, XinferenceUnsupportedError
from xinference_bridge.errors import XinferenceServerError
from xinference_bridge.protocol.sentences import SentenceSplitter, sentences_of
from xinference_bridge.protocol.sound_stream import JoinedSound, refused_to_stream
from xinference_bridge.protocol.transcript import Segment, Transcription, Word

TEXTS = {
    "Hello there. How are you?": ["Hello there.", "How are you?"],
    "Dr. Smith has 3.5 apples. He eats one.": ["Dr. Smith has 3.5 apples.", "He eats one."],
    "J. Verne wrote it, e.g. in 1870. Really!": ["J. Verne wrote it, e.g. in 1870.", "Really!"],
    '"Stop!" he said. (Twice.) Then he left.': ['"Stop!"', "he said.", "(Twice.)", "Then he left."],
    "1. First\n2. Second": ["1. First", "2. Second"],
    "你好。再见": ["你好。", "再见"],
    "Well... no": ["Well...", "no"],
    "Hi! ... --- !": ["Hi!"],
    "": [],
}


@pytest.mark.parametrize(("text", "sentences"), TEXTS.items(), ids=range(len(TEXTS)))
def test_a_text_is_cut_into_its_sentences(text, sentences):
    assert sentences_of(text) == sentences


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_comes_letter_by_letter_is_cut_without_loss(text):
    splitter = SentenceSplitter()
    pieces = [sentence for letter in text for sentence in splitter.feed(letter)] + list(splitter.finish())
    assert "".join("".join(pieces).split()) == "".join("".join(sentences_of(text)).split())


def test_a_sentence_is_there_as_soon_as_it_ends():
    splitter = SentenceSplitter()
    assert list(splitter.feed("One. T")) == ["One."]
    assert list(splitter.feed("wo. ")) == ["Two."]


def test_a_text_without_marks_is_spoken_in_pieces():
    assert all(len(piece) <= 600 for piece in sentences_of("word " * 500))
    assert sentences_of("x" * 1500) == ["x" * 600, "x" * 600, "x" * 300]


def _wav(samples: bytes) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 24000, 0, "NONE", ""))
        file.writeframes(samples)
    return out.getvalue()


def test_wav_files_are_joined_into_one():
    joined = JoinedSound("wav")
    whole = joined.add(_wav(b"aabb")) + joined.add(_wav(b"ccdd"))
    with wave.open(io.BytesIO(whole)) as file:
        assert (file.getframerate(), file.readframes(4)) == (24000, b"aabbccdd")


def test_mp3_files_follow_one_another():
    joined = JoinedSound("mp3")
    assert joined.add(b"\xff\xfba") + joined.add(b"\xff\xfbb") == b"\xff\xfba\xff\xfbb"


def test_what_cannot_be_joined_is_refused():
    with pytest.raises(XinferenceUnsupportedError, match="flac cannot be streamed sentence by sentence"):
        JoinedSound("flac")
    with pytest.raises(XinferenceProtocolError, match="not a WAV file"):
        JoinedSound("wav").add(b"ID3")


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("Kokoro does not support stream mode.", True),
        ("Ming-3.0-tts does not support streaming generation.", True),
        ("YuE2 only supports non-streaming generation.", True),
        ("Streaming mlx-audio output is not yet supported by Xinference", True),
        ("Unknown format: 'OPUS'", False),
    ],
)
def test_a_refusal_to_stream_is_known_by_its_words(said, refused):
    assert refused_to_stream(XinferenceServerError("failed", body=said)) is refused


def test_words_become_lines_of_subtitles():
    words = [Word("The", 0.0, 0.2), Word("end.", 0.2, 0.5), Word("你", 1.0, 1.2), Word("好", 1.2, 1.4)]
    heard = Transcription("The end.", words=words)
    assert heard.to_srt() == "1\n00:00:00,000 --> 00:00:00,500\nThe end.\n\n2\n00:00:01,000 --> 00:00:01,400\n你好\n"


def test_subtitles_run_over_the_hour_and_escape_markup():
    heard = Transcription("a", segments=[Segment(3661.5, None, "a <b> & --> c")])
    assert "01:01:01.500 --> 01:01:04.500\na &lt;b&gt; &amp; --&gt; c\n" in heard.to_vtt()


def test_subtitles_need_timestamps():
    with pytest.raises(XinferenceConfigurationError, match='timestamps="segment"'):
        Transcription("Hello.").to_srt()
    assert Transcription("").to_srt() == ""
