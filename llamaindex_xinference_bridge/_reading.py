"""The common code of the readers: opening LlamaIndex's files, and creating documents."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

from llama_index.core.bridge.pydantic import Field
from llama_index.core.readers.base import BasePydanticReader
from llama_index.core.schema import Document

from llamaindex_xinference_bridge._base import ServedModelFields
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.protocol.http import JSON

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

#: Metadata such as times and names, which does not belong in the embedded text.
_NOT_EMBEDDED = ("start", "end", "language")


class MediaReader(ServedModelFields, BasePydanticReader):
    """A reader that sends each file to a model."""

    is_remote: bool = True
    """Whether the data is remote: the files are sent to the server."""
    model_kwargs: JSON = Field(default_factory=dict)
    """Other parameters of the model, passed through unchanged."""

    def lazy_load_data(
        self,
        file: str | os.PathLike[str] | bytes,
        extra_info: dict[str, Any] | None = None,
        fs: AbstractFileSystem | None = None,
    ) -> Iterable[Document]:
        """Yield the documents of `load_data`. The whole file is read first.

        Args:
            file: As for `load_data`.
            extra_info: As for `load_data`.
            fs: As for `load_data`.

        Yields:
            Documents.
        """
        yield from self.load_data(file, extra_info, fs)

    async def alazy_load_data(
        self,
        file: str | os.PathLike[str] | bytes,
        extra_info: dict[str, Any] | None = None,
        fs: AbstractFileSystem | None = None,
    ) -> Iterable[Document]:
        """Async version of `lazy_load_data`: await it, then iterate."""
        return await self.aload_data(file, extra_info, fs)


@contextmanager
def opened(
    file: str | os.PathLike[str] | bytes, fs: AbstractFileSystem | None
) -> Iterator[str | os.PathLike[str] | bytes | BinaryIO]:
    """Yield a file in a form that the models accept: a local path, or a file opened on its file system."""
    if isinstance(file, (str, bytes, os.PathLike)):
        if fs is None or isinstance(file, bytes):
            yield file
            return
        with fs.open(os.fspath(file), "rb") as remote:
            yield remote
        return
    msg = f"file must be a path or bytes, got {type(file).__name__}"
    raise XinferenceConfigurationError(msg)


def document(text: str, file: Any, extra_info: Mapping[str, Any] | None, **found: Any) -> Document:
    """Return a document with the metadata of its file, and the values of `found` that are not None."""
    metadata: dict[str, Any] = {"file_path": os.fspath(file)} if isinstance(file, (str, os.PathLike)) else {}
    if metadata:
        metadata["file_name"] = PurePath(metadata["file_path"]).name
    metadata |= dict(extra_info or {})
    metadata |= {name: value for name, value in found.items() if value is not None}
    made = Document(text=text, metadata=metadata)
    # As in SimpleDirectoryReader: file metadata is excluded from the embedding.
    made.excluded_embed_metadata_keys = [name for name in (*_NOT_EMBEDDED, *_FILES) if name in metadata]
    made.excluded_llm_metadata_keys = [name for name in _FILES if name in metadata]
    return made


_FILES = (
    "file_path",
    "file_name",
    "file_type",
    "file_size",
    "creation_date",
    "last_modified_date",
    "last_accessed_date",
)
