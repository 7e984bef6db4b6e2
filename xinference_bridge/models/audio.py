"""The handle of an audio model."""

from __future__ import annotations

from xinference_bridge.models.speech import SpeechHandle
from xinference_bridge.models.transcription import TranscriptionHandle


class AudioHandle(TranscriptionHandle, SpeechHandle):
    """A running audio model: speech to text, or text to speech."""

    __slots__ = ()
