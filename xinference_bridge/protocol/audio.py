"""`POST /v1/audio/transcriptions`, `/translations` and `/speech`: arguments → request, answer → result. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.protocol.http import JSON, Request, Response
from xinference_bridge.protocol.media import media_type_of
from xinference_bridge.protocol.media_fields import as_kwargs, checked_number, checked_text
from xinference_bridge.protocol.multipart import Content, FilePart, Form
from xinference_bridge.protocol.shape_errors import json_answer, unexpected_answer
from xinference_bridge.protocol.transcript import Segment, Transcription, Word

Timestamps = Literal["segment", "word"]
Task = Literal["transcribe", "translate"]

_PATHS: dict[Task, str] = {"transcribe": "/v1/audio/transcriptions", "translate": "/v1/audio/translations"}
#: The audio formats for which 4.1.0 has a content type; each model supports some of them.
SPEECH_FORMATS = ("mp3", "wav", "flac", "ogg", "opus", "pcm", "aac", "m4a", "webm")
#: The first bytes of audio types that `media` does not list: AIFF, CAF, AMR, WMA, AU, RF64, MPEG layers of other rates.
_MORE_AUDIO = (b"FORM", b"caff", b"#!AMR", b"0&\xb2u", b".snd", b"RF64", b"\xff\xe2", b"\xff\xe3", b"\xff\xfa")
#: Control characters that also occur in text.
_OF_TEXT = frozenset(b"\t\n\r\f\x1b")


def audio_type(head: bytes, what: str = "the audio") -> str:
    """Return the media type of audio by its first bytes.

    Args:
        head: At least the first twelve bytes of the file.
        what: The name of the input, for errors.

    Raises:
        XinferenceConfigurationError: It is another kind of file, or text. 4.1.0 answers both with a 500.
    """
    kind = media_type_of(head)
    if kind is not None and kind.startswith(("audio/", "video/")):  # the server uses a video's sound
        return kind
    if kind is not None:
        raise XinferenceConfigurationError(f"{what} must be an audio file, got a file of type {kind}")
    if not head.startswith(_MORE_AUDIO) and all(byte >= 32 or byte in _OF_TEXT for byte in head) and _is_utf8(head):
        raise XinferenceConfigurationError(f"{what} must be an audio file, got text that begins with {head[:24]!r}")
    return "application/octet-stream"


def _is_utf8(head: bytes) -> bool:
    try:
        head[:-3].decode()  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return True


def transcription_request(
    uid: str,
    content: Content,
    filename: str,
    media_type: str,
    *,
    task: Task = "transcribe",
    language: str | None = None,
    prompt: str | None = None,
    temperature: float | None = None,
    timestamps: Timestamps | None = None,
    on_progress: Callable[[int, int], object] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Request:
    """Return the request that transcribes a file or translates it into English.

    It never requests the response formats `text`, `srt` and `vtt`, because 4.1.0 answers them with a 500.

    Raises:
        XinferenceConfigurationError: An argument is invalid.
    """
    fields = [("model", uid), ("response_format", "json" if timestamps is None else "verbose_json")]
    for name, text in (("language", language), ("prompt", prompt)):
        if text is not None:
            fields.append((name, checked_text(text, name)))
    if temperature is not None:
        fields.append(("temperature", repr(checked_number(temperature, "temperature", least=0.0))))
    if timestamps is not None:
        if timestamps not in ("segment", "word"):
            msg = f"timestamps must be 'segment', 'word' or None, got {timestamps!r:.60}"
            raise XinferenceConfigurationError(msg)
        fields.append(("timestamp_granularities[]", timestamps))
    if more:
        fields.append(("kwargs", as_kwargs(more)))
    name = filename or f"audio.{media_type.rpartition('/')[2]}"
    form = Form(tuple(fields), (FilePart("file", content, name, media_type),), on_progress)
    return Request("POST", _PATHS[task], model_uid=uid, ability="transcribe", form=form)


def transcription_from_response(response: Response, language: str | None = None) -> Transcription:
    """Return the transcription in a response.

    Args:
        response: The server's response.
        language: The language given in the request.

    Raises:
        XinferenceProtocolError: The response has no text.
    """
    data = json_answer(response)
    text = data.get("text")
    if not isinstance(text, str):
        raise unexpected_answer(response, "a string under 'text'")
    segments = [
        Segment(_seconds(entry.get("start")) or 0.0, _seconds(entry.get("end")), str(entry.get("text", "")).strip())
        for entry in _entries(data, "segments", response)
    ]
    words = [
        Word(str(entry.get("word", "")).strip(), _seconds(entry.get("start")) or 0.0, _seconds(entry.get("end")))
        for entry in _entries(data, "words", response)
    ]
    if language is None and data.get("language") != "english":
        # Whisper on transformers reports "english" for every language (4.1.0).
        language = data.get("language") if isinstance(data.get("language"), str) else None
    return Transcription(text.strip(), language, _seconds(data.get("duration")), segments, words)


def _entries(data: JSON, name: str, response: Response) -> list[JSON]:
    entries = data.get(name) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise unexpected_answer(response, f"a list of objects under {name!r}")
    return entries


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def speech_request(
    uid: str,
    text: str,
    *,
    voice: str | None = None,
    audio_format: str = "mp3",
    speed: float = 1.0,
    prompt_audio: FilePart | None = None,
    prompt_text: str | None = None,
    stream: bool = False,
    more: Mapping[str, Any] | None = None,
) -> Request:
    """Return the request that synthesizes a text.

    Args:
        uid: The model's UID.
        text: The text to speak.
        voice: One of the model's voices. None: the default voice.
        audio_format: One of `SPEECH_FORMATS`.
        speed: The speed; 1.0 is the voice's normal pace.
        prompt_audio: A recording of a voice to imitate.
        prompt_text: The transcript of `prompt_audio`.
        stream: Whether the server sends the audio while it is generated.
        more: Further parameters of the model.

    Raises:
        XinferenceConfigurationError: An argument is invalid.
    """
    body: JSON = {
        "model": uid,
        "input": checked_speech_text(text),
        "voice": "" if voice is None else checked_text(voice, "voice"),
        "response_format": checked_format(audio_format),
        "speed": checked_number(speed, "speed", above=0.0),
        "stream": stream,
    }
    own = dict(more or {})
    if prompt_text is not None:
        own["prompt_text"] = checked_text(prompt_text, "prompt_text")
    if own:
        body["kwargs"] = as_kwargs(own)
    bytes_or_events: Literal["bytes"] = "bytes"
    if prompt_audio is None:
        return Request("POST", "/v1/audio/speech", body, model_uid=uid, ability="speak", stream_of=bytes_or_events)
    fields = tuple(
        (name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in body.items()
    )
    form = Form(fields, (prompt_audio,))
    return Request("POST", "/v1/audio/speech", model_uid=uid, ability="speak", form=form, stream_of=bytes_or_events)


def checked_speech_text(text: Any) -> str:
    """Return the text if it can be spoken.

    Raises:
        XinferenceConfigurationError: It is not a string, or has no letter or digit. 4.1.0 answers both with a 500.
    """
    if not isinstance(text, str):
        raise XinferenceConfigurationError(f"the text to speak must be a string, got {type(text).__name__}")
    if not text.strip():
        raise XinferenceConfigurationError("the text to speak is empty")
    if not any(letter.isalnum() for letter in text):
        raise XinferenceConfigurationError(f"the text to speak has no letters or digits: {text[:60]!r}")
    return text


def checked_format(audio_format: Any) -> str:
    """Return an audio format in the server's spelling.

    Raises:
        XinferenceConfigurationError: The server does not know the format.
    """
    name = audio_format.lower().lstrip(".") if isinstance(audio_format, str) else audio_format
    if name not in SPEECH_FORMATS:
        msg = f"format must be one of {', '.join(SPEECH_FORMATS)}, got {audio_format!r:.60}"
        raise XinferenceConfigurationError(msg)
    return str(name)


def speech_from_response(response: Response) -> bytes:
    """Return the audio in a response.

    Raises:
        XinferenceProtocolError: The response is empty or not audio.
    """
    refuse_what_is_no_sound(response)
    return response.body


def refuse_what_is_no_sound(response: Response) -> None:
    """Raise XinferenceProtocolError if the response to a speech request is empty or has another content type."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not response.body or (kind and not kind.startswith("audio/") and kind != "application/octet-stream"):
        raise unexpected_answer(response, "sound in it")
