"""`XinferenceOCRReader`: OCR for LlamaIndex's readers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import Document
from typing_extensions import Unpack

from llamaindex_xinference_bridge._constructor_kwargs import OCRReaderSettings
from llamaindex_xinference_bridge._reading import MediaReader, document, opened
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.models.image import ImageHandle
from xinference_bridge.protocol.http import JSON

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class XinferenceOCRReader(MediaReader):
    """An OCR model on a Xinference server, as a reader of images and PDFs.

    Pass it to `SimpleDirectoryReader` as `file_extractor`, by suffix.

    Raises:
        XinferenceConfigurationError: `model_uid` is missing, or a setting is misspelled or invalid.

    Examples:
        ```python
        from llama_index.core import SimpleDirectoryReader

        reader = XinferenceOCRReader(model_uid="jina-ocr", connection=conn)
        scans = SimpleDirectoryReader("examples/images", file_extractor={".png": reader, ".pdf": reader})
        ```
    """

    prompt: str | None = None
    """The instruction, for models that support one."""
    pages: list[int] | None = None
    """The pages of a PDF to read, counted from 1. None: all pages. Ignored for images."""

    def __init__(
        self, model_uid: str | None = None, base_url: str | None = None, **settings: Unpack[OCRReaderSettings]
    ) -> None:
        super().__init__(model_uid=model_uid, base_url=base_url, **settings)
        self._more()

    @classmethod
    def class_name(cls) -> str:
        """Return the class name for serialized objects.

        Returns:
            The name of this class.
        """
        return "XinferenceOCRReader"

    def load_data(
        self,
        file: str | os.PathLike[str] | bytes,
        extra_info: dict[str, Any] | None = None,
        fs: AbstractFileSystem | None = None,
    ) -> list[Document]:
        """Return the text of an image or a PDF.

        Args:
            file: A path, or the bytes of a file.
            extra_info: Metadata for the document.
            fs: The file system of the path. None: the local one.

        Returns:
            One document.

        Raises:
            XinferenceConfigurationError: The file is empty, or not an image or a PDF.
            XinferenceModelTypeError: The model does not read images.
            XinferenceError: The request failed.
        """
        with opened(file, fs) as content:
            text = self._handle(ImageHandle).ocr(
                content, prompt=self.prompt, pages=self._pages_of(file), **self._more()
            )
        return [document(text, file, extra_info)]

    async def aload_data(
        self,
        file: str | os.PathLike[str] | bytes,
        extra_info: dict[str, Any] | None = None,
        fs: AbstractFileSystem | None = None,
    ) -> list[Document]:
        """Async version of `load_data`."""
        handle = self._handle(ImageHandle)
        with opened(file, fs) as content:
            text = await handle.aocr(content, prompt=self.prompt, pages=self._pages_of(file), **self._more())
        return [document(text, file, extra_info)]

    def _more(self) -> JSON:
        """Return `model_kwargs`. Raise XinferenceConfigurationError for what is stated elsewhere."""
        for name, advice in _TAKEN.items():
            if name in self.model_kwargs:
                msg = f"XinferenceOCRReader: model_kwargs cannot hold {name!r}: {advice}"
                raise XinferenceConfigurationError(msg)
        return self.model_kwargs

    def _pages_of(self, file: str | os.PathLike[str] | bytes) -> list[int] | None:
        is_pdf = file.startswith(b"%PDF-") if isinstance(file, bytes) else os.fspath(file).lower().endswith(".pdf")
        return self.pages if is_pdf else None


#: Arguments of our own call, by name, and what to do instead of stating them in `model_kwargs`.
_TAKEN = {
    "prompt": "pass prompt= to the reader",
    "pages": "pass pages= to the reader",
    "options": "pass timeout= or max_retries= to the reader",
    "document": "leave it out, each file is read",
    "self": "leave it out, the server has no such parameter",
}
