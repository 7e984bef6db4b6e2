"""`XinferenceTranscriber`: speech to text for LangChain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

from langchain_core.document_loaders import BaseBlobParser
from langchain_core.documents import Document
from langchain_core.documents.base import Blob
from pydantic import SecretStr
from typing_extensions import Unpack, override

from langchain_xinference_bridge._base import XinferenceFields
from langchain_xinference_bridge._constructor_kwargs import TranscriberSettings
from langchain_xinference_bridge._media import call_settings, file_of, metadata_of
from langchain_xinference_bridge.errors import translated_errors
from xinference_bridge.client.uploads import FileLike
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.models.audio import AudioHandle
from xinference_bridge.protocol.transcript import Transcription

Task = Literal["transcribe", "translate"]
TranscriptFormat = Literal["text", "srt", "vtt"]


class XinferenceTranscriber(XinferenceFields, BaseBlobParser):
    """A speech-to-text model on a Xinference server, such as Whisper, for `GenericLoader` or on its own.

    Raises:
        XinferenceConfigurationError: `model_uid` is missing, or a setting is misspelled or invalid.

    Examples:
        >>> XinferenceTranscriber(model="whisper", timestamps="segment").task
        'transcribe'
    """

    task: Task = "transcribe"
    """Whether to transcribe, or to translate to English."""
    language: str | None = None
    """The spoken language, such as "fr". None: detected by the model."""
    prompt: str | None = None
    """Names and words that may occur, for models that support it."""
    temperature: float | None = None
    """None: the server's default."""
    timestamps: Literal["segment", "word"] | None = None
    """One document per segment or word, with `start` and `end` in its metadata. None: one per recording."""
    format: TranscriptFormat = "text"
    """The content of a document: plain text, or subtitles in the form "srt" or "vtt"."""

    def __init__(
        self,
        server_url: str | None = None,
        model_uid: str | None = None,
        api_key: SecretStr | str | None = None,
        **settings: Unpack[TranscriberSettings],
    ) -> None:
        super().__init__(server_url, model_uid, api_key, **settings)

    def transcribe(self, file: FileLike, **keywords: Any) -> Transcription:
        """Transcribe a recording, or translate it with `task="translate"`.

        Args:
            file: A path, bytes, a file object opened in binary mode, or a data URL.
            **keywords: `task`, `language`, `prompt`, `temperature`, `timestamps`, `on_progress`, `model_kwargs`, and
                `timeout`, `deadline`, `max_retries` of this call.

        Returns:
            The text, its segments or words with times, and the methods `to_srt()` and `to_vtt()`.

        Raises:
            XinferenceConfigurationError: The file is empty or not audio, or an argument is invalid.
            XinferenceModelTypeError: The model does not transcribe.
            XinferenceError: The request failed.

        Examples:
            >>> transcriber = XinferenceTranscriber(model="whisper")
            >>> transcriber.transcribe("tests/data/red.png")  # doctest: +IGNORE_EXCEPTION_DETAIL
            Traceback (most recent call last):
            XinferenceConfigurationError: the audio must be an audio file, got a file of type image/png
        """
        with translated_errors:
            task, asked = self._asked(keywords)
            handle = self._handle(AudioHandle)
            return (handle.translate if task == "translate" else handle.transcribe)(file, **asked)

    async def atranscribe(self, file: FileLike, **keywords: Any) -> Transcription:
        """Async version of `transcribe`.

        Examples:
            >>> import asyncio
            >>> transcriber = XinferenceTranscriber(model="whisper")
            >>> asyncio.run(transcriber.atranscribe("tests/data/red.png"))  # doctest: +IGNORE_EXCEPTION_DETAIL
            Traceback (most recent call last):
            XinferenceConfigurationError: the audio must be an audio file, got a file of type image/png
        """
        with translated_errors:
            task, asked = self._asked(keywords)
            handle = self._handle(AudioHandle)
            return await (handle.atranslate if task == "translate" else handle.atranscribe)(file, **asked)

    @override
    def lazy_parse(self, blob: Blob) -> Iterator[Document]:
        """Yield one document per recording, or with `timestamps` one per segment or word.

        Args:
            blob: The recording: its bytes, or its path, which is sent from disk piece by piece.

        Yields:
            Documents with `source`, `start`, `end`, `language` and `duration` in their metadata, if known.

        Raises:
            XinferenceError: The request failed.

        Examples:
            >>> transcriber = XinferenceTranscriber(model="whisper", timestamps="segment")
            >>> blob = Blob.from_path("tests/data/red.png")
            >>> next(transcriber.lazy_parse(blob))  # doctest: +IGNORE_EXCEPTION_DETAIL
            Traceback (most recent call last):
            XinferenceConfigurationError: the audio must be an audio file, got a file of type image/png
        """
        with translated_errors:
            yield from self._documents(self.transcribe(file_of(blob), timestamps=self._needed()), blob)

    async def aparse(self, blob: Blob) -> list[Document]:
        """Return the documents of a recording, without blocking the event loop.

        Args:
            blob: The recording.

        Examples:
            >>> import asyncio
            >>> transcriber = XinferenceTranscriber(model="whisper")
            >>> blob = Blob.from_path("tests/data/red.png")
            >>> asyncio.run(transcriber.aparse(blob))  # doctest: +IGNORE_EXCEPTION_DETAIL
            Traceback (most recent call last):
            XinferenceConfigurationError: the audio must be an audio file, got a file of type image/png
        """
        with translated_errors:
            return self._documents(await self.atranscribe(file_of(blob), timestamps=self._needed()), blob)

    def _needed(self) -> Literal["segment", "word"] | None:
        return self.timestamps if self.format == "text" else self.timestamps or "segment"

    def _asked(self, keywords: dict[str, Any]) -> tuple[Task, dict[str, Any]]:
        names = ("task", "language", "prompt", "temperature", "timestamps")
        fields = {name: getattr(self, name) for name in names} | {"on_progress": None}
        asked, more, options = call_settings(fields, self.model_kwargs, keywords, "XinferenceTranscriber")
        task: Task = asked.pop("task")
        if task not in get_args(Task):
            raise XinferenceConfigurationError(f"task must be 'transcribe' or 'translate', got {task!r:.60}")
        return task, {**asked, "parameters": more, "options": options}

    def _documents(self, heard: Transcription, blob: Blob) -> list[Document]:
        about = {"language": heard.language}
        if self.format != "text":
            text = heard.to_srt() if self.format == "srt" else heard.to_vtt()
            return [Document(text, metadata=metadata_of(blob, **about, duration=heard.duration))]
        if self.timestamps is None:
            return [Document(heard.text, metadata=metadata_of(blob, **about, duration=heard.duration))]
        return [
            Document(text, metadata=metadata_of(blob, **about, **times)) for text, times in heard.timed(self.timestamps)
        ]
