"""`XinferenceSpeech`: text to speech for LangChain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from typing import Any

from langchain_core.runnables import RunnableConfig, RunnableSerializable
from pydantic import Field, SecretStr
from typing_extensions import Unpack, override

from langchain_xinference_bridge._base import XinferenceFields
from langchain_xinference_bridge._constructor_kwargs import SpeechSettings
from langchain_xinference_bridge._media import call_settings, text_of
from langchain_xinference_bridge.errors import translated_errors
from xinference_bridge.models.audio import AudioHandle

_FIELDS = ("voice", "format", "speed", "prompt_audio", "prompt_text")


class XinferenceSpeech(XinferenceFields, RunnableSerializable[Any, bytes]):
    """A text-to-speech model on a Xinference server, such as Kokoro or CosyVoice.

    At the end of a chain that streams, each sentence is spoken as soon as it is complete: `chain | speech`.

    Raises:
        XinferenceConfigurationError: `model_uid` is missing, or a setting is misspelled or invalid.

    Examples:
        >>> speech = XinferenceSpeech(model="kokoro", voice="af_heart", format="wav")
        >>> speech.invoke("Hello.")[:4]
        b'RIFF'
    """

    voice: str | None = None
    """One of the model's voices. None: the default voice."""
    format: str = "mp3"
    """"mp3", "wav", "flac", "ogg", "opus", "pcm", "aac", "m4a" or "webm"; each model has some of them."""
    speed: float = Field(default=1.0, gt=0)
    """Speed; 1.0 is the voice's normal speed."""
    prompt_audio: Any = Field(default=None, exclude=True, repr=False)
    """A recording of a voice to imitate, for models that support it: a path, bytes or a data URL."""
    prompt_text: str | None = None
    """The transcript of `prompt_audio`."""

    def __init__(
        self,
        server_url: str | None = None,
        model_uid: str | None = None,
        api_key: SecretStr | str | None = None,
        **settings: Unpack[SpeechSettings],
    ) -> None:
        super().__init__(server_url, model_uid, api_key, **settings)

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> bytes:
        """Return a text as speech.

        Args:
            input: A string, a message or a prompt.
            config: LangChain's settings of the run.
            **kwargs: `voice`, `format`, `speed`, `prompt_audio`, `prompt_text`, `model_kwargs`, and `timeout`,
                `deadline`, `max_retries` of this call.

        Returns:
            The bytes of an audio file.

        Raises:
            XinferenceConfigurationError: The text is empty, or an argument is invalid.
            XinferenceModelTypeError: The model is not a text-to-speech model.
            XinferenceError: The request failed.

        Examples:
            >>> XinferenceSpeech(model="kokoro").invoke("Hello.", format="flac")[:4]
            b'fLaC'
        """

        def speak(value: Any) -> bytes:
            with translated_errors:
                return self._handle(AudioHandle).speak(_text(value), **self._asked(kwargs))

        return self._call_with_config(speak, input, config)

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> bytes:
        """Async version of `invoke`.

        Examples:
            >>> import asyncio
            >>> asyncio.run(XinferenceSpeech(model="kokoro", format="wav").ainvoke("Hello."))[:4]
            b'RIFF'
        """

        async def speak(value: Any) -> bytes:
            with translated_errors:
                return await self._handle(AudioHandle).aspeak(_text(value), **self._asked(kwargs))

        return await self._acall_with_config(speak, input, config)

    @override
    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any | None) -> Iterator[bytes]:
        """Yield a text as speech, in pieces. Joined, they are one playable file.

        The server streams if the model supports it. If the model refuses, as Kokoro does, each sentence is a piece.

        Args:
            input: A string, a message or a prompt.
            config: LangChain's settings of the run.
            **kwargs: As in `invoke`.

        Yields:
            Bytes of audio.

        Raises:
            XinferenceStreamError: The stream broke off after it started.
            XinferenceError: As in `invoke`.

        Examples:
            >>> len(list(XinferenceSpeech(model="kokoro").stream("Hello. How are you?")))
            2
        """
        yield from self._transform_stream_with_config(iter([input]), self._speaker(kwargs, whole=True), config)

    @override
    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any | None
    ) -> AsyncIterator[bytes]:
        """Async version of `stream`.

        Examples:
            >>> import asyncio
            >>> async def pieces(text: str) -> int:
            ...     return len([piece async for piece in XinferenceSpeech(model="kokoro").astream(text)])
            >>> asyncio.run(pieces("Hello. How are you?"))
            2
        """
        stream = self._atransform_stream_with_config(_only(input), self._aspeaker(kwargs, whole=True), config)
        async for sound in stream:
            yield sound

    @override
    def transform(
        self, input: Iterator[Any], config: RunnableConfig | None = None, **kwargs: Any | None
    ) -> Iterator[bytes]:
        """Yield a streamed text as speech, sentence by sentence.

        Args:
            input: The pieces of the text: strings, or the chunks of a chat model's answer.
            config: LangChain's settings of the run.
            **kwargs: As in `invoke`.

        Yields:
            The audio of one sentence after another. Joined, they are one playable file.

        Raises:
            XinferenceError: As in `invoke`.

        Examples:
            >>> len(list(XinferenceSpeech(model="kokoro").transform(iter(["Hello. How ", "are you?"]))))
            2
        """
        yield from self._transform_stream_with_config(input, self._speaker(kwargs, whole=False), config)

    @override
    async def atransform(
        self, input: AsyncIterator[Any], config: RunnableConfig | None = None, **kwargs: Any | None
    ) -> AsyncIterator[bytes]:
        """Async version of `transform`.

        Examples:
            >>> import asyncio
            >>> async def written():
            ...     yield "Hello. How "
            ...     yield "are you?"
            >>> async def pieces() -> int:
            ...     return len([piece async for piece in XinferenceSpeech(model="kokoro").atransform(written())])
            >>> asyncio.run(pieces())
            2
        """
        stream = self._atransform_stream_with_config(input, self._aspeaker(kwargs, whole=False), config)
        async for sound in stream:
            yield sound

    def _speaker(self, kwargs: dict[str, Any], *, whole: bool) -> Callable[[Iterator[Any]], Iterator[bytes]]:
        def speak(pieces: Iterator[Any]) -> Iterator[bytes]:
            with translated_errors:
                texts = (_text(piece) for piece in pieces)
                text = "".join(texts) if whole else texts
                with closing(self._handle(AudioHandle).stream_speech(text, **self._asked(kwargs))) as sounds:
                    yield from sounds

        return speak

    def _aspeaker(self, kwargs: dict[str, Any], *, whole: bool) -> Callable[[AsyncIterator[Any]], AsyncIterator[bytes]]:
        async def speak(pieces: AsyncIterator[Any]) -> AsyncIterator[bytes]:
            with translated_errors:
                texts = (_text(piece) async for piece in pieces)
                text = "".join([text async for text in texts]) if whole else texts
                async with aclosing(self._handle(AudioHandle).astream_speech(text, **self._asked(kwargs))) as sounds:
                    async for sound in sounds:
                        yield sound

        return speak

    def _asked(self, keywords: dict[str, Any]) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in _FIELDS}
        asked, more, options = call_settings(fields, self.model_kwargs, keywords, "XinferenceSpeech")
        return {**asked, "parameters": more, "options": options}


def _text(value: Any) -> str:
    return text_of(value, "the text to speak")


async def _only(value: Any) -> AsyncIterator[Any]:
    yield value
