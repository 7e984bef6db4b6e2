"""The handle of a model of sound."""

from __future__ import annotations

from xinference_bridge.models.hearing import HearingHandle
from xinference_bridge.models.speaking import SpeakingHandle


class AudioHandle(HearingHandle, SpeakingHandle):
    """One running model of sound: it hears, or it speaks."""

    __slots__ = ()
