"""Text to speech, whole or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xinference_bridge.client.flow import Flow
from xinference_bridge.client.streaming import OpenedSound
from xinference_bridge.client.transport.call import Budget
from xinference_bridge.client.uploads import FileLike, local_file
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions
from xinference_bridge.errors import XinferenceConfigurationError, XinferenceError
from xinference_bridge.models.base import ModelHandle, naming_request
from xinference_bridge.protocol.audio import (
    audio_type,
    checked_format,
    checked_speech_text,
    speech_from_response,
    speech_request,
)
from xinference_bridge.protocol.http import Request
from xinference_bridge.protocol.media_failures import media_failure
from xinference_bridge.protocol.multipart import FilePart
from xinference_bridge.protocol.sentences import SentenceSplitter, sentences_of
from xinference_bridge.protocol.sound_stream import JoinedSound, refused_to_stream


class SpeechHandle(ModelHandle):
    """A running text-to-speech model."""

    __slots__ = ()

    def speak(
        self,
        text: str,
        *,
        voice: str | None = None,
        format: str = "mp3",  # noqa: A002 - the name that users expect
        speed: float = 1.0,
        prompt_audio: FileLike | None = None,
        prompt_text: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> bytes:
        """Return a text as speech.

        Args:
            text: The text to speak.
            voice: One of the model's voices. None: the default voice.
            format: "mp3", "wav", "flac", "ogg", "opus", "pcm", "aac", "m4a" or "webm"; each model has some of them.
            speed: The speed; 1.0 is the voice's normal pace.
            prompt_audio: A recording of a voice to imitate, for models that support it.
            prompt_text: The transcript of `prompt_audio`.
            parameters: Further parameters of the model.
            options: Options that override the connection's settings.

        Returns:
            The bytes of an audio file.

        Raises:
            XinferenceConfigurationError: The text is empty, or an argument is invalid.
            XinferenceModelTypeError: The model is not a text-to-speech model.
            XinferenceUnsupportedError: The model does not support this format, or cannot imitate voices.
            XinferenceBadRequestError: The model does not have this voice.
            XinferenceError: The call failed for another reason.
        """
        asked = _SpeechCall.checked(
            voice=voice,
            audio_format=format,
            speed=speed,
            prompt_audio=prompt_audio,
            prompt_text=prompt_text,
            parameters=parameters,
        )
        return self._speak(checked_speech_text(text), asked, self._client.budget(options))

    async def aspeak(
        self,
        text: str,
        *,
        voice: str | None = None,
        format: str = "mp3",  # noqa: A002 - the name that users expect
        speed: float = 1.0,
        prompt_audio: FileLike | None = None,
        prompt_text: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> bytes:
        """Async version of `speak`."""
        asked = await asyncio.to_thread(
            _SpeechCall.checked,
            voice=voice,
            audio_format=format,
            speed=speed,
            prompt_audio=prompt_audio,
            prompt_text=prompt_text,
            parameters=parameters,
        )
        return await self._aspeak(checked_speech_text(text), asked, self._client.budget(options))

    def stream_speech(
        self,
        text: str | Iterable[str],
        *,
        voice: str | None = None,
        format: str = "mp3",  # noqa: A002 - the name that users expect
        speed: float = 1.0,
        prompt_audio: FileLike | None = None,
        prompt_text: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> Generator[bytes, None, None]:
        """Yield a text as speech, piece by piece. The joined pieces are one playable file.

        The server streams a whole text if the model supports it. If the model refuses, as Kokoro does, or if the text
        comes in pieces, each sentence is synthesized as soon as it is complete. A WAV stream does not declare its
        length.

        Args:
            text: A whole text, or its pieces, such as the streamed answer of a chat model.
            voice: As in `speak`.
            format: As in `speak`; "flac", "m4a" and "webm" only if the server streams.
            speed: As in `speak`.
            prompt_audio: As in `speak`.
            prompt_text: As in `speak`.
            parameters: Further parameters of the model.
            options: Options that override the connection's settings; the deadline covers the whole stream.

        Yields:
            Bytes of audio.

        Raises:
            XinferenceStreamError: The stream broke off after it started.
            XinferenceError: As in `speak`.
        """
        asked = _SpeechCall.checked(
            voice=voice,
            audio_format=format,
            speed=speed,
            prompt_audio=prompt_audio,
            prompt_text=prompt_text,
            parameters=parameters,
        )
        budget = self._client.budget(options)
        if isinstance(text, str):
            return self._stream(checked_speech_text(text), asked, budget)
        return self._sentence_by_sentence(_sentences(text), asked, budget)

    def astream_speech(
        self,
        text: str | AsyncIterable[str] | Iterable[str],
        *,
        voice: str | None = None,
        format: str = "mp3",  # noqa: A002 - the name that users expect
        speed: float = 1.0,
        prompt_audio: FileLike | None = None,
        prompt_text: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> AsyncGenerator[bytes, None]:
        """Async version of `stream_speech`; the pieces of the text may come from an async iterator."""
        asked = _SpeechCall.checked(
            voice=voice,
            audio_format=format,
            speed=speed,
            prompt_audio=prompt_audio,
            prompt_text=prompt_text,
            parameters=parameters,
        )
        budget = self._client.budget(options)
        if isinstance(text, str):
            return self._astream(checked_speech_text(text), asked, budget)
        return self._asentence_by_sentence(_asentences(text), asked, budget)

    def speaking_flow(self, text: str, asked: _SpeechCall, budget: Budget) -> Flow[bytes]:
        """Return the flow of `speak`."""
        response = yield from self._send_media(asked.request(self.uid, text, stream=False), budget)
        with naming_request(response, self.uid):
            return speech_from_response(response)

    def opening_flow(self, text: str, asked: _SpeechCall, budget: Budget) -> Flow[OpenedSound]:
        """Return the flow that opens the stream of `stream_speech`."""
        request = asked.request(self.uid, text, stream=True)
        try:
            return (yield from self._client.requests.open_sound(request, budget))
        except XinferenceError as error:
            raise media_failure(error) from error.__cause__

    def _speak(self, text: str, asked: _SpeechCall, budget: Budget) -> bytes:
        return self._client.run(self._by_name(lambda found: found.speaking_flow(text, asked, budget)))

    async def _aspeak(self, text: str, asked: _SpeechCall, budget: Budget) -> bytes:
        flow = self._by_name(lambda found: found.speaking_flow(text, asked, budget))
        return await self._client.arun(flow)

    def _stream(self, text: str, asked: _SpeechCall, budget: Budget) -> Generator[bytes, None, None]:
        opening = self._by_name(lambda found: found.opening_flow(text, asked, budget))
        try:
            yield from self._client.stream_sound(opening)
        except XinferenceError as error:
            if not refused_to_stream(error):
                raise
        else:
            return
        yield from self._sentence_by_sentence(iter(sentences_of(text)), asked, budget)

    async def _astream(self, text: str, asked: _SpeechCall, budget: Budget) -> AsyncGenerator[bytes, None]:
        opening = self._by_name(lambda found: found.opening_flow(text, asked, budget))
        try:
            async for sound in self._client.astream_sound(opening):
                yield sound
        except XinferenceError as error:
            if not refused_to_stream(error):
                raise
        else:
            return
        async for sound in self._asentence_by_sentence(_asentences([text]), asked, budget):
            yield sound

    def _sentence_by_sentence(
        self, sentences: Iterable[str], asked: _SpeechCall, budget: Budget
    ) -> Generator[bytes, None, None]:
        joined = JoinedSound(asked.audio_format)
        for sentence in sentences:
            yield joined.add(self._speak(sentence, asked, budget))

    async def _asentence_by_sentence(
        self, sentences: AsyncIterable[str], asked: _SpeechCall, budget: Budget
    ) -> AsyncGenerator[bytes, None]:
        joined = JoinedSound(asked.audio_format)
        async for sentence in sentences:
            yield joined.add(await self._aspeak(sentence, asked, budget))


@dataclass(frozen=True, slots=True)
class _SpeechCall:
    """The checked arguments of one speech call, except its text."""

    voice: str | None
    audio_format: str
    speed: float
    prompt_audio: FilePart | None
    prompt_text: str | None
    parameters: Mapping[str, Any] | None

    @classmethod
    def checked(
        cls,
        *,
        voice: str | None,
        audio_format: str,
        speed: float,
        prompt_audio: FileLike | None,
        prompt_text: str | None,
        parameters: Mapping[str, Any] | None,
    ) -> _SpeechCall:
        part = None
        if prompt_audio is not None:
            file = local_file(prompt_audio, "prompt_audio")
            kind = audio_type(file.head, "prompt_audio")
            part = FilePart("prompt_speech", file, file.name or "voice", kind)
        elif prompt_text is not None:
            msg = "prompt_text says what is spoken in prompt_audio, and there is no prompt_audio"
            raise XinferenceConfigurationError(msg)
        asked = cls(voice, checked_format(audio_format), speed, part, prompt_text, parameters)
        asked.request("", "a", stream=False)  # raises for invalid arguments before anything is sent
        return asked

    def request(self, uid: str, text: str, *, stream: bool) -> Request:
        return speech_request(
            uid,
            text,
            voice=self.voice,
            audio_format=self.audio_format,
            speed=self.speed,
            prompt_audio=self.prompt_audio,
            prompt_text=self.prompt_text,
            stream=stream,
            more=self.parameters,
        )


def _sentences(pieces: Iterable[str]) -> Generator[str, None, None]:
    splitter = SentenceSplitter()
    for piece in pieces:
        yield from splitter.feed(_piece(piece))
    yield from splitter.finish()


async def _asentences(pieces: AsyncIterable[str] | Iterable[str]) -> AsyncGenerator[str, None]:
    splitter = SentenceSplitter()
    async for piece in pieces if isinstance(pieces, AsyncIterable) else _asynchronous(pieces):
        for sentence in splitter.feed(_piece(piece)):
            yield sentence
    for sentence in splitter.finish():
        yield sentence


async def _asynchronous(pieces: Iterable[str]) -> AsyncGenerator[str, None]:
    for piece in pieces:
        yield piece


def _piece(piece: Any) -> str:
    if not isinstance(piece, str):
        msg = f"the pieces of the text to speak must be strings, got {type(piece).__name__}"
        raise XinferenceConfigurationError(msg)
    return piece
