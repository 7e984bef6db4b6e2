"""The `speak` command: speaks a text into an audio file."""

from __future__ import annotations

from pathlib import Path

from xinference_bridge.cli.inputs import piped_text
from xinference_bridge.cli.options import UsageError
from xinference_bridge.cli.output_files import STDOUT, refuse_existing, write_bytes
from xinference_bridge.models.audio import AudioHandle
from xinference_bridge.protocol.audio import SPEECH_FORMATS


def text_of(argument: str) -> str:
    """Return the text to speak: the argument, or the piped input for `-`.

    Raises:
        UsageError: There is no text.
    """
    text = piped_text() if argument == "-" else argument
    if not text.strip():
        raise UsageError("TEXT is empty: pass a text, or pipe one with `-`")
    return text


def format_of(out: Path, stated: str | None) -> str:
    """Return the given audio format, or the format of the file's suffix.

    Raises:
        UsageError: Neither gives a format.
    """
    if stated is not None:
        return stated
    suffix = out.suffix.lower().removeprefix(".")
    if out == STDOUT or not suffix:
        return "mp3"
    if suffix not in SPEECH_FORMATS:
        raise UsageError(
            f"--out {out}: {suffix!r} is not an audio format; it must be one of {', '.join(SPEECH_FORMATS)}"
        )
    return suffix


def refuse_speed(speed: float) -> None:
    """Raise UsageError for an invalid speed."""
    if not speed > 0:
        raise UsageError(f"--speed must be more than 0, got {speed:g}")


def speak_into(
    model: AudioHandle, text: str, out: Path, *, audio_format: str, voice: str | None, speed: float, overwrite: bool
) -> None:
    """Synthesize the text and write the audio file."""
    refuse_existing(out, overwrite=overwrite)
    write_bytes(out, model.speak(text, voice=voice, format=audio_format, speed=speed))
