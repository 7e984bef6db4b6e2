"""Sound that comes in pieces: a stream of bytes with the server's pings in it, or one answer a sentence. Pure."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

from xinference_bridge.errors import XinferenceError, XinferenceProtocolError, XinferenceUnsupportedError

#: 4.1.0 streams sound through sse-starlette, which puts a comment between two pieces when none came for a while.
_PING = re.compile(rb": ping - \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*(?:\+00:00)?\r?\n\r?\n")
_PING_START = b": ping - "
_LONGEST_PING = 64

#: How models of 4.1.0 refuse: "Kokoro does not support stream mode.", "… does not support streaming generation.",
#: "YuE2 only supports non-streaming generation.", "Streaming mlx-audio output is not yet supported by Xinference".
_REFUSED = re.compile(r"not (?:yet )?support stream|non-stream|stream.{0,80}not (?:yet )?supported", re.IGNORECASE)

#: Several files of these, one after another, are one that plays on.
_JOINABLE = frozenset({"mp3", "ogg", "opus", "pcm", "aac", "wav"})
_UNKNOWN_SIZE = 0xFFFFFFFF


def refused_to_stream(error: XinferenceError) -> bool:
    """Return whether a model refused to send its sound while it makes it."""
    return bool(_REFUSED.search(error.body or ""))


class SoundStream:
    """The bytes of one streamed answer, without the server's pings."""

    done = False

    def __init__(self, url: str, request_id: str) -> None:
        self._url = url
        self._request_id = request_id
        self._tail = b""
        self._ready = b""
        self._count = 0

    @property
    def has_begun(self) -> bool:
        """Whether sound was read ahead."""
        return bool(self._ready)

    def hold(self, chunk: bytes) -> bool:
        """Read bytes ahead of the caller; whether sound has come."""
        self._ready += self.read(chunk)
        return bool(self._ready)

    def ready(self) -> bytes:
        """Return what was read ahead."""
        ready, self._ready = self._ready, b""
        return ready

    def read(self, chunk: bytes) -> bytes:
        """Return the sound in these bytes; what may begin a ping waits for the bytes that follow."""
        data = _PING.sub(b"", self._tail + chunk)
        keep = _possible_ping(data)
        self._tail = data[len(data) - keep :] if keep else b""
        sound = data[: len(data) - keep]
        self._count += len(sound)
        return sound

    def end(self) -> bytes:
        """Return what is left.

        Raises:
            XinferenceProtocolError: No sound came at all: so ends a stream whose model failed (4.1.0).
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
    """Return whether an answer of these headers may be a stream of sound."""
    kind = headers.get("content-type", "")
    return kind.startswith(("audio/", "application/octet-stream"))


class JoinedSound:
    """Several files of one format → one that plays on while it comes."""

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
        """Return what follows: the file itself, or of a later WAV its samples alone."""
        begun, self._begun = self._begun, True
        if not self._is_wav:
            return sound
        head, samples = _wav_parts(sound)
        return samples if begun else head + samples


def _wav_parts(sound: bytes) -> tuple[bytes, bytes]:
    """Return a header that leaves the length open, as streams have it, and the samples."""
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
