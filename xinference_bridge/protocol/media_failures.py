"""Maps the server's opaque 500s for audio and images to specific errors. Pure."""

from __future__ import annotations

import re

from xinference_bridge.errors import (
    XinferenceBadRequestError,
    XinferenceError,
    XinferenceModelTypeError,
    XinferenceServerError,
    XinferenceUnsupportedError,
)

# Message of 4.1.0 → the matching error, and advice. The first match applies.
_MEANINGS: tuple[tuple[re.Pattern[str], type[XinferenceError], str], ...] = (
    (
        re.compile(r"Soundfile is either not in the correct format or is malformed"),
        XinferenceBadRequestError,
        (
            "The server cannot decode the audio file: it is cut, damaged, or in a format unknown to its ffmpeg. "
            "Send WAV, FLAC or MP3."
        ),
    ),
    (
        re.compile(r"cannot identify image file|image file is truncated"),
        XinferenceBadRequestError,
        "The server cannot decode the image: it is damaged, or in a format that is not known there. Send PNG or JPEG.",
    ),
    (
        re.compile(r"Failed to load document"),
        XinferenceBadRequestError,
        "The server cannot open the PDF: it is damaged, or protected by a password.",
    ),
    (
        re.compile(r"Unknown format: '|Unsupported (?:audio |response )?format", re.IGNORECASE),
        XinferenceUnsupportedError,
        "The model does not write this format: take mp3, wav or flac.",
    ),
    (
        re.compile(r"Unsupported language"),
        XinferenceBadRequestError,
        "language takes an English name such as 'french', or a code such as 'fr'.",
    ),
    (
        re.compile(
            r"locate the file on the Hub and we cannot find the requested files|does not appear to have a file named"
        ),
        XinferenceBadRequestError,
        (
            "The server looked for a file that it does not have: for a text-to-speech model, that of an unknown voice. "
            "Leave voice out for the model's default, or take one of its own."
        ),
    ),
    (
        re.compile(r"need at least one array to concatenate"),
        XinferenceBadRequestError,
        "The model found nothing to say in the text.",
    ),
    (
        re.compile(r"repeats can not be negative"),
        XinferenceBadRequestError,
        "speed is out of the model's range; 1.0 is the voice's own pace.",
    ),
    (
        re.compile(r"unexpected keyword argument '(?:prompt_speech|prompt_text|prompt_latent)'"),
        XinferenceUnsupportedError,
        (
            "The model does not imitate voices: leave prompt_audio and prompt_text out, or take a model with "
            "the ability text2audio_voice_cloning."
        ),
    ),
    (
        re.compile(r"unexpected keyword argument '(\w+)'"),
        XinferenceBadRequestError,
        "The model does not take this parameter: leave it out.",
    ),
    (
        re.compile(r"is not suitable for translations"),
        XinferenceModelTypeError,
        "The model knows one language: take a multilingual one to translate.",
    ),
    (
        re.compile(
            r"object has no attribute 'model_spec'|is not for creating|does not support (?:text|image|inpaint|ocr)"
        ),
        XinferenceModelTypeError,
        "The model is of another type than this call needs.",
    ),
)


def media_failure(error: XinferenceError) -> XinferenceError:
    """Return the specific error for an opaque 500, with advice. Return any other error unchanged."""
    if not isinstance(error, (XinferenceServerError, XinferenceUnsupportedError)) or not error.body:
        return error
    for pattern, kind, advice in _MEANINGS:
        if pattern.search(error.body):
            return kind(error.message).like(error).with_note(advice)
    return error
