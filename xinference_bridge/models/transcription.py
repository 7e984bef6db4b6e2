"""Speech to text, and translation into English."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from xinference_bridge.client.flow import Flow
from xinference_bridge.client.transport.call import Budget
from xinference_bridge.client.uploads import FileLike, LocalFile, local_file
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions
from xinference_bridge.models.base import ModelHandle, naming_request
from xinference_bridge.protocol.audio import (
    Task,
    Timestamps,
    audio_type,
    transcription_from_response,
    transcription_request,
)
from xinference_bridge.protocol.http import Request
from xinference_bridge.protocol.transcript import Transcription

_Progress = Callable[[int, int], object]


class TranscriptionHandle(ModelHandle):
    """A running speech-to-text model."""

    __slots__ = ()

    def transcribe(
        self,
        file: FileLike,
        *,
        language: str | None = None,
        prompt: str | None = None,
        temperature: float | None = None,
        timestamps: Timestamps | None = None,
        on_progress: _Progress | None = None,
        parameters: Mapping[str, Any] | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> Transcription:
        """Transcribe a recording.

        Args:
            file: A path, bytes, a file object opened in binary mode, or a data URL. A path is sent from disk piece by
                piece, however large.
            language: The language spoken, such as "fr" or "french". None: the model detects it.
            prompt: Names and words that may occur. Whisper on the transformers engine ignores it (4.1.0).
            temperature: 0 or more. None: the server's default.
            timestamps: "segment" for segments with their times, "word" for words. None: text only.
            on_progress: Called during the upload with the number of bytes sent and the total.
            parameters: Further parameters of the model.
            options: Options that override the connection's settings.

        Returns:
            The text, segments and words, with times in seconds.

        Raises:
            XinferenceConfigurationError: The file is empty or not audio, or an argument is invalid.
            XinferenceModelTypeError: The model does not transcribe.
            XinferenceBadRequestError: The server cannot decode the audio, or does not support the language.
            XinferenceError: The call failed for another reason.
        """
        asked = _TranscriptionCall("transcribe", language, prompt, temperature, timestamps, on_progress, parameters)
        return self._send(local_file(file, "the audio"), asked, options)

    async def atranscribe(
        self,
        file: FileLike,
        *,
        language: str | None = None,
        prompt: str | None = None,
        temperature: float | None = None,
        timestamps: Timestamps | None = None,
        on_progress: _Progress | None = None,
        parameters: Mapping[str, Any] | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> Transcription:
        """Async version of `transcribe`."""
        asked = _TranscriptionCall("transcribe", language, prompt, temperature, timestamps, on_progress, parameters)
        return await self._asend(await asyncio.to_thread(local_file, file, "the audio"), asked, options)

    def translate(
        self,
        file: FileLike,
        *,
        language: str | None = None,
        prompt: str | None = None,
        temperature: float | None = None,
        timestamps: Timestamps | None = None,
        on_progress: _Progress | None = None,
        parameters: Mapping[str, Any] | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> Transcription:
        """Translate a recording in another language into English text.

        Args:
            file: As in `transcribe`.
            language: The language spoken. None: the model detects it.
            prompt: As in `transcribe`.
            temperature: As in `transcribe`.
            timestamps: As in `transcribe`.
            on_progress: As in `transcribe`.
            parameters: Further parameters of the model.
            options: Options that override the connection's settings.

        Returns:
            The English text, segments and words, with times in seconds.

        Raises:
            XinferenceModelTypeError: The model does not translate.
            XinferenceError: As in `transcribe`.
        """
        asked = _TranscriptionCall("translate", language, prompt, temperature, timestamps, on_progress, parameters)
        return self._send(local_file(file, "the audio"), asked, options)

    async def atranslate(
        self,
        file: FileLike,
        *,
        language: str | None = None,
        prompt: str | None = None,
        temperature: float | None = None,
        timestamps: Timestamps | None = None,
        on_progress: _Progress | None = None,
        parameters: Mapping[str, Any] | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> Transcription:
        """Async version of `translate`."""
        asked = _TranscriptionCall("translate", language, prompt, temperature, timestamps, on_progress, parameters)
        return await self._asend(await asyncio.to_thread(local_file, file, "the audio"), asked, options)

    def _send(self, file: LocalFile, asked: _TranscriptionCall, options: CallOptions) -> Transcription:
        media_type = audio_type(file.head)
        return self._run(options, lambda found, budget: found.transcription_flow(file, media_type, asked, budget))

    async def _asend(self, file: LocalFile, asked: _TranscriptionCall, options: CallOptions) -> Transcription:
        media_type = audio_type(file.head)
        return await self._arun(
            options, lambda found, budget: found.transcription_flow(file, media_type, asked, budget)
        )

    def transcription_flow(
        self, file: LocalFile, media_type: str, asked: _TranscriptionCall, budget: Budget
    ) -> Flow[Transcription]:
        """Return the flow of `transcribe` and `translate`."""
        response = yield from self._send_media(asked.request(self.uid, file, media_type), budget)
        with naming_request(response, self.uid):
            return transcription_from_response(response, asked.language)


@dataclass(frozen=True, slots=True)
class _TranscriptionCall:
    """The arguments of one transcription or translation."""

    task: Task
    language: str | None
    prompt: str | None
    temperature: float | None
    timestamps: Timestamps | None
    on_progress: _Progress | None
    parameters: Mapping[str, Any] | None

    def request(self, uid: str, file: LocalFile, media_type: str) -> Request:
        return transcription_request(
            uid,
            file,
            file.name,
            media_type,
            task=self.task,
            language=self.language,
            prompt=self.prompt,
            temperature=self.temperature,
            timestamps=self.timestamps,
            on_progress=self.on_progress,
            more=self.parameters,
        )
