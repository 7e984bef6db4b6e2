"""A transcription: text, segments, words, and subtitles from them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from xinference_bridge.errors import XinferenceConfigurationError

#: The duration of a subtitle whose end the model did not report.
_UNKNOWN_SECONDS = 3.0
#: A subtitle made of words ends with a sentence, or after this many characters or seconds.
_LONGEST_LINE = 84
_LONGEST_SECONDS = 6.0
_FIRST_OF_CJK = 0x2E80


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of speech: its start and end in seconds, and its text."""

    start: float
    end: float | None
    """None if the model did not report it. Whisper omits it at the end of a cut recording."""
    text: str


@dataclass(frozen=True, slots=True)
class Word:
    """One word, with its start and end in seconds."""

    word: str
    start: float
    end: float | None


@dataclass(frozen=True, slots=True)
class Transcription:
    """The transcription of a recording."""

    text: str
    language: str | None = None
    """The requested language, or the one that the model reported; None if unknown."""
    duration: float | None = None
    """Seconds until the last word; None without timestamps."""
    segments: list[Segment] = field(default_factory=list)
    """With `timestamps="segment"`."""
    words: list[Word] = field(default_factory=list)
    """With `timestamps="word"`."""

    def timed(self, by: Literal["segment", "word"]) -> list[tuple[str, dict[str, float | None]]]:
        """Return each segment or word with its times.

        Args:
            by: What the transcription was requested with.

        Returns:
            The texts, each with its `start` and `end` in seconds. If the server sent text without segments or words,
            the whole text without times.
        """
        parts: list[tuple[str, dict[str, float | None]]] = (
            [(part.text, {"start": part.start, "end": part.end}) for part in self.segments]
            if by == "segment"
            else [(part.word, {"start": part.start, "end": part.end}) for part in self.words]
        )
        return parts or ([(self.text, {})] if self.text.strip() else [])

    def to_srt(self) -> str:
        """Return the transcription as SubRip subtitles.

        Returns:
            The text of an `.srt` file; empty if nothing was said.

        Raises:
            XinferenceConfigurationError: The transcription has no timestamps.

        Examples:
            >>> print(Transcription("Hello.", segments=[Segment(0.0, 1.5, "Hello.")]).to_srt())
            1
            00:00:00,000 --> 00:00:01,500
            Hello.
            <BLANKLINE>
        """
        cues = enumerate(self._cues("srt"), 1)
        return "\n".join(
            f"{number}\n{_clock(cue.start, ',')} --> {_clock(_end(cue), ',')}\n{cue.text}\n" for number, cue in cues
        )

    def to_vtt(self) -> str:
        """Return the transcription as WebVTT subtitles.

        Returns:
            The text of a `.vtt` file.

        Raises:
            XinferenceConfigurationError: The transcription has no timestamps.

        Examples:
            >>> print(Transcription("Hello.", segments=[Segment(0.0, 1.5, "Hello.")]).to_vtt())
            WEBVTT
            <BLANKLINE>
            00:00:00.000 --> 00:00:01.500
            Hello.
            <BLANKLINE>
        """
        cues = [
            f"{_clock(cue.start, '.')} --> {_clock(_end(cue), '.')}\n{_escaped(cue.text)}\n"
            for cue in self._cues("vtt")
        ]
        return "\n".join(["WEBVTT\n", *cues])

    def _cues(self, wanted: str) -> Sequence[Segment]:
        if self.segments:
            return [cue for cue in self.segments if cue.text]
        if self.words:
            return lines_of(self.words)
        if self.text:
            msg = f'{wanted} needs timestamps, and this transcription has none: transcribe with timestamps="segment"'
            raise XinferenceConfigurationError(msg)
        return []


def lines_of(words: Sequence[Word]) -> list[Segment]:
    """Group words into subtitle lines."""
    lines: list[list[Word]] = []
    for word in words:
        line = lines[-1] if lines else None
        if line is None or _is_full(line, word):
            lines.append([word])
        else:
            line.append(word)
    return [Segment(line[0].start, line[-1].end, _joined(line)) for line in lines]


def _joined(words: Sequence[Word]) -> str:
    text = ""
    for word in words:
        # Chinese and Japanese have no spaces between words.
        apart = text and word.word and max(ord(text[-1]), ord(word.word[0])) < _FIRST_OF_CJK
        text += f"{' ' if apart else ''}{word.word}"
    return text


def _is_full(line: list[Word], word: Word) -> bool:
    length = sum(len(other.word) + 1 for other in line) + len(word.word)
    late = (word.end if word.end is not None else word.start) - line[0].start > _LONGEST_SECONDS
    return line[-1].word.endswith((".", "!", "?", "。", "\uff01", "\uff1f")) or length > _LONGEST_LINE or late


def _end(cue: Segment) -> float:
    return cue.end if cue.end is not None else cue.start + _UNKNOWN_SECONDS


def _clock(seconds: float, point: str) -> str:
    whole = max(0, round(seconds * 1000))
    minutes, milliseconds = divmod(whole, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _escaped(text: str) -> str:
    """Escape a line for WebVTT, so that arrows and tags in it are not markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
