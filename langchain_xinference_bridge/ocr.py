"""`XinferenceOCR`: OCR for LangChain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Literal

from langchain_core.document_loaders import BaseBlobParser
from langchain_core.documents import Document
from langchain_core.documents.base import Blob
from pydantic import SecretStr
from typing_extensions import Unpack, override

from langchain_xinference_bridge._base import XinferenceFields
from langchain_xinference_bridge._constructor_kwargs import OCRSettings
from langchain_xinference_bridge._media import call_settings, file_of, metadata_of
from langchain_xinference_bridge.errors import translated_errors
from xinference_bridge.client.uploads import FileLike
from xinference_bridge.errors import XinferenceBadRequestError
from xinference_bridge.models.image import ImageHandle


class XinferenceOCR(XinferenceFields, BaseBlobParser):
    """An OCR model on a Xinference server, such as DeepSeek-OCR or GOT-OCR, for `GenericLoader` or on its own.

    Raises:
        XinferenceConfigurationError: `model_uid` is missing, or a setting is misspelled or invalid.

    Examples:
        >>> ocr = XinferenceOCR(model="jina-ocr")
        >>> [document] = ocr.parse(Blob.from_path("tests/data/red.png"))
        >>> "Seen: red, 32x32." in document.page_content
        True
    """

    prompt: str | None = None
    """The instruction, such as "Only the table". None: the model's default."""
    pages: list[int] | None = None
    """The pages of a PDF to read, counted from 1. None: all pages."""
    mode: Literal["single", "page"] = "single"
    """Whether a PDF becomes one document, or one per page with `page` in its metadata and a request for each page."""

    def __init__(
        self,
        server_url: str | None = None,
        model_uid: str | None = None,
        api_key: SecretStr | str | None = None,
        **settings: Unpack[OCRSettings],
    ) -> None:
        super().__init__(server_url, model_uid, api_key, **settings)

    def read(self, document: FileLike, **keywords: Any) -> str:
        """Return the text of an image or a PDF.

        Args:
            document: A path, bytes, a file object opened in binary mode, or a data URL.
            **keywords: `prompt`, `pages`, `model_kwargs`, and `timeout`, `deadline`, `max_retries` of this call.

        Returns:
            The text, in Markdown if the model writes it.

        Raises:
            XinferenceConfigurationError: The file is not an image or a PDF, or an argument is invalid.
            XinferenceModelTypeError: The model does not read images.
            XinferenceError: The request failed.

        Examples:
            >>> "Seen: red, 32x32." in XinferenceOCR(model="jina-ocr").read("tests/data/red.png")
            True
        """
        with translated_errors:
            return self._handle(ImageHandle).ocr(document, **self._asked(keywords))

    async def aread(self, document: FileLike, **keywords: Any) -> str:
        """Async version of `read`.

        Examples:
            >>> import asyncio
            >>> "32x32" in asyncio.run(XinferenceOCR(model="jina-ocr").aread("tests/data/red.png"))
            True
        """
        with translated_errors:
            return await self._handle(ImageHandle).aocr(document, **self._asked(keywords))

    @override
    def lazy_parse(self, blob: Blob) -> Iterator[Document]:
        """Yield the text of an image or a PDF as one document, or as one document per page, depending on `mode`.

        Args:
            blob: The image or PDF: its bytes, or its path, which is sent from disk piece by piece.

        Yields:
            Documents with `source` in their metadata, and `page`, counted from 1, if there is one per page.

        Raises:
            XinferenceError: The request failed.

        Examples:
            >>> [document] = XinferenceOCR(model="jina-ocr").lazy_parse(Blob.from_path("tests/data/red.png"))
            >>> document.metadata
            {'source': 'tests/data/red.png'}
        """
        with translated_errors:
            file = file_of(blob)
            if not self._by_page(blob):
                yield Document(self.read(file), metadata=metadata_of(blob))
                return
            for page in self.pages or count(1):
                try:
                    text = self.read(file, pages=[page])
                except XinferenceBadRequestError as error:
                    if _is_last(error, page, self.pages):
                        return
                    raise
                yield Document(text, metadata=metadata_of(blob, page=page))

    async def aparse(self, blob: Blob) -> list[Document]:
        """Return the documents of an image or a PDF, without blocking the event loop.

        Args:
            blob: The image or PDF.

        Examples:
            >>> import asyncio
            >>> len(asyncio.run(XinferenceOCR(model="jina-ocr").aparse(Blob.from_path("tests/data/red.png"))))
            1
        """
        with translated_errors:
            file = file_of(blob)
            if not self._by_page(blob):
                return [Document(await self.aread(file), metadata=metadata_of(blob))]
            documents: list[Document] = []
            for page in self.pages or count(1):
                try:
                    text = await self.aread(file, pages=[page])
                except XinferenceBadRequestError as error:
                    if _is_last(error, page, self.pages):
                        return documents
                    raise
                documents.append(Document(text, metadata=metadata_of(blob, page=page)))
            return documents

    def _by_page(self, blob: Blob) -> bool:
        if self.mode == "single":
            return False
        with blob.as_bytes_io() as file:
            return file.read(5) == b"%PDF-"

    def _asked(self, keywords: dict[str, Any]) -> dict[str, Any]:
        fields = {"prompt": self.prompt, "pages": self.pages}
        asked, more, options = call_settings(fields, self.model_kwargs, keywords, "XinferenceOCR")
        return {**more, **asked, "options": options}


def _is_last(error: XinferenceBadRequestError, page: int, pages: Sequence[int] | None) -> bool:
    """Return whether the server rejected the page after the last one. Only the server knows the number of pages."""
    return pages is None and page > 1 and "out of range" in (error.body or "")
