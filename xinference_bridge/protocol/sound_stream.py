"""Audio in pieces: a stream of bytes with the server's pings in it, or one response per sentence. Pure."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

from xinference_bridge.errors import XinferenceError, XinferenceProtocolError, XinferenceUnsupportedError

#: 4.1.0 streams audio through sse-starlette, which inserts a comment between two pieces after a pause.
_PING = re.compile(rb": ping - \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*(?:\+00:00)?\r?\n\r?\n")
_PING_START = b": ping - "
_LONGEST_PING = 64

#: The refusals of models in 4.1.0: "Kokoro does not support stream mode.", "… does not support streaming generation.",
#: "YuE2 only supports non-streaming generation.", "Streaming mlx-audio output is not yet supported by Xinference".
_REFUSED = re.compile(r"not (?:yet )?support stream|non-stream|stream.{0,80}not (?:yet )?supported", re.IGNORECASE)

#: Concatenated files of these formats are one playable file.
_JOINABLE = frozenset({"mp3", "ogg", "opus", "pcm", "aac", "wav"})
_UNKNOWN_SIZE = 0xFFFFFFFF


def refused_to_stream(error: XinferenceError) -> bool:
    """Return whether the error means that the model does not support streaming."""
    return bool(_REFUSED.search(error.body or ""))


class SoundStream:
    """The bytes of one streamed response, without the server's pings."""

    done = False

    def __init__(self, url: str, request_id: str) -> None:
        self._url = url
        self._request_id = request_id
        self._tail = b""
        self._ready = b""
        self._count = 0

    @property
    def has_begun(self) -> bool:
        """Whether audio was read ahead."""
        return bool(self._ready)

    def hold(self, chunk: bytes) -> bool:
        """Read bytes ahead of the caller. Return whether audio has arrived."""
        self._ready += self.read(chunk)
        return bool(self._ready)

    def ready(self) -> bytes:
        """Return the audio that was read ahead."""
        ready, self._ready = self._ready, b""
        return ready

    def read(self, chunk: bytes) -> bytes:
        """Return the audio in these bytes. Keep back what may be the beginning of a ping."""
        data = _PING.sub(b"", self._tail + chunk)
        keep = _possible_ping(data)
        self._tail = data[len(data) - keep :] if keep else b""
        sound = data[: len(data) - keep]
        self._count += len(sound)
        return sound

    def end(self) -> bytes:
        """Return the rest of the audio.

        Raises:
            XinferenceProtocolError: No audio arrived. This is how a stream ends if its model failed (4.1.0).
        """
        rest, self._tail = self._tail, b""
        if not self._count and not rest:
            msg = (
                f"{self._url} answered 200 without any sound. The model failed while it spoke: check text, voice and "
                f"format; the server's log has more under request id {self._request_id}."
            )
            raise XinferenceProtocolError(msg, url=self._url, status_code=200, request_id=self._request_id)
        return rest


def _possible_ping(data: bytes) -> int:
    """Return how many bytes at the end may be the beginning of a ping."""
    begin = data.rfind(_PING_START)
    if begin >= 0 and len(data) - begin < _LONGEST_PING:
        return len(data) - begin
    return next(
        (size for size in range(min(len(_PING_START), len(data)), 0, -1) if _PING_START.startswith(data[-size:])), 0
    )


def is_sound(headers: Mapping[str, str]) -> bool:
    """Return whether a response with these headers may be an audio stream."""
    kind = headers.get("content-type", "")
    return kind.startswith(("audio/", "application/octet-stream"))


class JoinedSound:
    """Joins several files of one format into one that can be played while it arrives."""

    def __init__(self, audio_format: str) -> None:
        if audio_format not in _JOINABLE:
            msg = (
                f"{audio_format} cannot be streamed sentence by sentence, and this model does not stream: take one of "
                f"{', '.join(sorted(_JOINABLE))}, or speak() for the whole"
            )
            raise XinferenceUnsupportedError(msg)
        self._is_wav = audio_format == "wav"
        self._begun = False

    def add(self, sound: bytes) -> bytes:
        """Return the next bytes: the whole file, or only the samples of a later WAV file."""
        begun, self._begun = self._begun, True
        if not self._is_wav:
            return sound
        head, samples = _wav_parts(sound)
        return samples if begun else head + samples


def _wav_parts(sound: bytes) -> tuple[bytes, bytes]:
    """Return a header without a length, as in streams, and the samples."""
    place, head = 12, b""
    while sound[:4] == b"RIFF" and place + 8 <= len(sound):
        name, size = struct.unpack_from("<4sI", sound, place)
        if name == b"data":
            begin = place + 8
            end = len(sound) if size == _UNKNOWN_SIZE else begin + size
            opened = (
                struct.pack("<4sI4s", b"RIFF", _UNKNOWN_SIZE, b"WAVE")
                + head
                + struct.pack("<4sI", b"data", _UNKNOWN_SIZE)
            )
            return opened, sound[begin:end]
        if name == b"fmt ":
            head = sound[place : place + 8 + size]
        place += 8 + size + size % 2
    raise XinferenceProtocolError(f"The answer is not a WAV file; it begins with {sound[:16]!r}.")
