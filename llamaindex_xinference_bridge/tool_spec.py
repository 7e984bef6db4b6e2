"""`XinferenceToolSpec`: speech and images as tools for LlamaIndex agents."""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from llama_index.core.tools.tool_spec.base import BaseToolSpec
from typing_extensions import Unpack

from llamaindex_xinference_bridge._constructor_kwargs import ConnectionSettings
from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.integration.connection_argument import connection_from
from xinference_bridge.integration.media_files import path_within
from xinference_bridge.models.audio import AudioHandle
from xinference_bridge.models.image import ImageHandle
from xinference_bridge.protocol.media_fields import checked_text

#: The argument that names each tool's model.
_MODELS = {
    "text_to_speech": "text_to_speech_model",
    "transcribe": "transcription_model",
    "generate_image": "image_model",
}
_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}


class XinferenceToolSpec(BaseToolSpec):
    """Tools for an agent: text to speech, transcription and image generation on a Xinference server.

    A tool exists if its model is given. Files are written only to `folder`, and recordings are read only from there,
    whatever path the agent's model writes. A tool that creates a file returns its path.

    Args:
        folder: The folder for written and read files. It must exist.
        text_to_speech_model: The UID of a text-to-speech model.
        transcription_model: The UID of a speech-to-text model.
        image_model: The UID of an image generation model.
        voice: A voice of the text-to-speech model. None: the default voice.
        audio_format: The format of spoken files, such as "mp3" or "wav".
        image_size: Width and height of images, such as "512x512". None: the server's default.
        connection: The connection. None: from `settings` and the environment.
        **settings: `server_url=`, `api_key=`, `timeout=`, `max_retries=`, `headers=`.

    Raises:
        XinferenceConfigurationError: No model is named, the folder does not exist, or a setting is invalid.

    Examples:
        ```python
        tools = XinferenceToolSpec(".", text_to_speech_model="kokoro", image_model="sd3.5", connection=conn)
        agent_tools = tools.to_tool_list()
        ```
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        text_to_speech_model: str | None = None,
        transcription_model: str | None = None,
        image_model: str | None = None,
        voice: str | None = None,
        audio_format: str = "mp3",
        image_size: str | None = None,
        connection: XinferenceConnection | None = None,
        **settings: Unpack[ConnectionSettings],
    ) -> None:
        models = {
            "text_to_speech": text_to_speech_model,
            "transcribe": transcription_model,
            "generate_image": image_model,
        }
        named = {tool: checked_text(uid, _MODELS[tool]) for tool, uid in models.items() if uid is not None}
        if not named:
            msg = "XinferenceToolSpec needs text_to_speech_model=, transcription_model= or image_model=: a tool's model"
            raise XinferenceConfigurationError(msg)
        if not isinstance(folder, (str, os.PathLike)):
            raise XinferenceConfigurationError(f"folder must be a path, got {type(folder).__name__}")
        if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises for a long name, and takes "" for "."
            msg = f"folder must be an existing folder, and {os.fspath(folder)[:200]!r} is not: create it first"
            raise XinferenceConfigurationError(msg)
        self.folder = Path(folder)
        self.connection = connection_from(connection, **settings)
        self.spec_functions = [(tool, f"a{tool}") for tool in named]
        self._models = named
        self._voice = voice
        self._audio_format = audio_format
        self._image_size = image_size

    def text_to_speech(self, text: str) -> str:
        """Read a text aloud into an audio file.

        Args:
            text: The text to read.

        Returns:
            The path of the audio file.
        """
        sound = self._audio("text_to_speech").speak(text, voice=self._voice, format=self._audio_format)
        return self._written(sound, "speech-", f".{self._audio_format}")

    async def atext_to_speech(self, text: str) -> str:
        """Async version of `text_to_speech`."""
        sound = await self._audio("text_to_speech").aspeak(text, voice=self._voice, format=self._audio_format)
        return await asyncio.to_thread(self._written, sound, "speech-", f".{self._audio_format}")

    def transcribe(self, path: str) -> str:
        """Transcribe a recording.

        Args:
            path: The path of the audio file.

        Returns:
            The text.
        """
        return self._audio("transcribe").transcribe(self._readable(path)).text

    async def atranscribe(self, path: str) -> str:
        """Async version of `transcribe`."""
        file = await asyncio.to_thread(self._readable, path)
        return (await self._audio("transcribe").atranscribe(file)).text

    def generate_image(self, prompt: str) -> str:
        """Generate an image from a description.

        Args:
            prompt: The description.

        Returns:
            The path of the image file.
        """
        [image, *_] = self._image().generate(prompt, size=self._image_size)
        return self._written(image.data, "image-", _SUFFIXES.get(image.mime_type, ""))

    async def agenerate_image(self, prompt: str) -> str:
        """Async version of `generate_image`."""
        [image, *_] = await self._image().agenerate(prompt, size=self._image_size)
        return await asyncio.to_thread(self._written, image.data, "image-", _SUFFIXES.get(image.mime_type, ""))

    def _audio(self, tool: str) -> AudioHandle:
        return AudioHandle(self.connection, self._uid(tool))

    def _image(self) -> ImageHandle:
        return ImageHandle(self.connection, self._uid("generate_image"))

    def _uid(self, tool: str) -> str:
        uid = self._models.get(tool)
        if uid is None:
            msg = f"{tool} needs {_MODELS[tool]}=, the UID of its model, when the XinferenceToolSpec is made"
            raise XinferenceConfigurationError(msg)
        return uid

    def _readable(self, path: str) -> Path:
        named = checked_text(path, "path")
        allowed = [str(self.folder)]
        # Models often write only the name of a file instead of its whole path.
        inside = str(self.folder / named)
        if not os.path.exists(inside):  # noqa: PTH110 - Path.exists raises for a long name
            with suppress(XinferenceConfigurationError):  # the folder may be written too: "media/talk.wav"
                return path_within(named, allowed, "the recording", setting="folder=")
        return path_within(inside, allowed, "the recording", setting="folder=")

    def _written(self, data: bytes, prefix: str, suffix: str) -> str:
        handle, path = tempfile.mkstemp(suffix, prefix, self.folder)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        return path
