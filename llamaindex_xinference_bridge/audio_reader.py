"""`XinferenceAudioReader`: transcription for LlamaIndex's readers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from llama_index.core.schema import Document
from typing_extensions import Unpack

from llamaindex_xinference_bridge._constructor_kwargs import AudioReaderSettings
from llamaindex_xinference_bridge._reading import MediaReader, document, opened
from xinference_bridge.models.audio import AudioHandle
from xinference_bridge.protocol.transcript import Transcription

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class XinferenceAudioReader(MediaReader):
    """A speech-to-text model on a Xinference server, as a reader of audio files.

    Pass it to `SimpleDirectoryReader` as `file_extractor`, by suffix. With `timestamps`, a recording becomes one
    document per segment or word, with `start` and `end` in seconds in the metadata.

    Raises:
        XinferenceConfigurationError: `model_uid` is missing, or a setting is misspelled or invalid.

    Examples:
        ```python
        reader = XinferenceAudioReader(model_uid="whisper-large-v3", connection=conn, timestamps="segment")
        extractors = {".wav": reader, ".mp3": reader}  # for SimpleDirectoryReader(folder, file_extractor=extractors)
        ```
    """

    timestamps: Literal["segment", "word"] | None = None
    """The unit of a document: a segment, a word, or (None) the whole recording."""
    task: Literal["transcribe", "translate"] = "transcribe"
    """Whether to transcribe, or to translate to English."""
    language: str | None = None
    """The spoken language, such as "fr". None: detected by the model."""
    prompt: str | None = None
    """Names and words that may occur, for models that support it."""

    def __init__(
        self, model_uid: str | None = None, base_url: str | None = None, **settings: Unpack[AudioReaderSettings]
    ) -> None:
        super().__init__(model_uid=model_uid, base_url=base_url, **settings)

    @classmethod
    def class_name(cls) -> str:
        """Return the class name for serialized objects.

        Returns:
            The name of this class.
        """
        return "XinferenceAudioReader"

    def load_data(
        self,
        file: str | os.PathLike[str] | bytes,
        extra_info: dict[str, Any] | None = None,
        fs: AbstractFileSystem | None = None,
    ) -> list[Document]:
        """Return the transcript of a recording as documents.

        Args:
            file: A path, or the bytes of a recording.
            extra_info: Metadata for each document.
            fs: The file system of the path. None: the local one.

        Returns:
            One document, or with `timestamps` one per segment or word (none without speech).

        Raises:
            XinferenceConfigurationError: The file is empty or not audio.
            XinferenceModelTypeError: The model does not transcribe.
            XinferenceError: The request failed.
        """
        handle = self._handle(AudioHandle)
        hear = handle.translate if self.task == "translate" else handle.transcribe
        with opened(file, fs) as content:
            return self._documents(hear(content, **self._asked()), file, extra_info)

    async def aload_data(
        self,
        file: str | os.PathLike[str] | bytes,
        extra_info: dict[str, Any] | None = None,
        fs: AbstractFileSystem | None = None,
    ) -> list[Document]:
        """Async version of `load_data`."""
        handle = self._handle(AudioHandle)
        hear = handle.atranslate if self.task == "translate" else handle.atranscribe
        with opened(file, fs) as content:
            return self._documents(await hear(content, **self._asked()), file, extra_info)

    def _asked(self) -> dict[str, Any]:
        return {
            "language": self.language,
            "prompt": self.prompt,
            "timestamps": self.timestamps,
            "parameters": self.model_kwargs,
        }

    def _documents(self, heard: Transcription, file: Any, extra_info: dict[str, Any] | None) -> list[Document]:
        if self.timestamps is None:
            return [document(heard.text, file, extra_info, language=heard.language)]
        return [
            document(text, file, extra_info, **times, language=heard.language)
            for text, times in heard.timed(self.timestamps)
        ]
