"""`XinferenceEmbeddings`: the embedding model for LangChain."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Iterator
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Literal, overload

from langchain_core.embeddings import Embeddings
from pydantic import Field, SecretStr
from typing_extensions import Unpack

from langchain_xinference_bridge._base import XinferenceFields
from langchain_xinference_bridge._constructor_kwargs import EmbeddingsSettings
from langchain_xinference_bridge._progress import progress
from langchain_xinference_bridge.errors import translated_errors
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.integration.image_input import ImageLike, image_batches
from xinference_bridge.models.batching import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_CONCURRENCY,
    Batch,
    arun_batches_in_order,
    batches_of,
    run_batches_in_order,
)
from xinference_bridge.models.embedding import ArrayBuilder, EmbeddingHandle, SameDimensions
from xinference_bridge.protocol.http import JSON

if TYPE_CHECKING:
    import numpy as np


class XinferenceEmbeddings(XinferenceFields, Embeddings):
    """An embedding model on a Xinference server.

    Sends texts in batches with concurrent requests. Returns vectors in input order, as
    lists of floats or as one array.

    Examples:
        >>> embeddings = XinferenceEmbeddings(model="minilm", query_instruction="query: ")
        >>> [len(vector) for vector in embeddings.embed_documents(["Paris", "Berlin"])]
        [384, 384]
        >>> embeddings.embed_array(["Paris", "Berlin"]).shape
        (2, 384)
    """

    batch_size: int = Field(default=DEFAULT_BATCH_SIZE, ge=1)
    """Maximum number of texts per request."""
    max_concurrency: int = Field(default=DEFAULT_CONCURRENCY, ge=1)
    """Maximum number of concurrent requests."""
    show_progress: bool = False
    """Whether to show a progress bar; needs tqdm."""
    truncate: bool | int | None = None
    """True truncates each text to the model's limit, an int to that many tokens. None: the server's default."""
    dimensions: int | None = Field(default=None, ge=1)
    """The requested length of the vectors, which is checked in the response."""
    query_instruction: str = ""
    """Prefix of each query. BGE, E5 and Qwen3-Embedding need one."""
    document_instruction: str = ""
    """Prefix of each document, such as `passage: ` for E5."""

    def __init__(
        self,
        server_url: str | None = None,
        model_uid: str | None = None,
        api_key: SecretStr | str | None = None,
        **settings: Unpack[EmbeddingsSettings],
    ) -> None:
        super().__init__(server_url, model_uid, api_key, **settings)

    # Texts

    def embed_documents(self, texts: Iterable[str]) -> list[list[float]]:
        """Return one vector per text, in input order.

        Args:
            texts: The texts, in a list or another iterable.

        Returns:
            `len(texts)` lists of `dimensions` floats.

        Raises:
            XinferenceError: A request failed; the message lists the inputs that were not embedded.

        Examples:
            >>> len(XinferenceEmbeddings(model="minilm").embed_documents(["one", "two"]))
            2
        """
        with translated_errors, progress(self.show_progress, _length(texts)) as done:
            vectors: list[list[float]] = []
            for batch, answer in self._lists(texts):
                vectors += answer
                done(len(batch.texts))
            return vectors

    async def aembed_documents(self, texts: Iterable[str]) -> list[list[float]]:
        """Async version of `embed_documents`.

        Examples:
            >>> import asyncio
            >>> len(asyncio.run(XinferenceEmbeddings(model="minilm").aembed_documents(["one", "two"])))
            2
        """
        with translated_errors, progress(self.show_progress, _length(texts)) as done:
            vectors: list[list[float]] = []
            async with aclosing(self._alists(texts)) as answers:
                async for batch, answer in answers:
                    vectors += answer
                    done(len(batch.texts))
            return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query.

        Args:
            text: The query, without `query_instruction`, which is added.

        Returns:
            A list of `dimensions` floats.

        Raises:
            XinferenceError: The request failed.

        Examples:
            >>> len(XinferenceEmbeddings(model="minilm").embed_query("Where is the lighthouse?"))
            384
        """
        with translated_errors:
            answer = self._handle(EmbeddingHandle).embed([self._query(text)], self._parameters())
            return self._checked(answer.vectors)[0]

    async def aembed_query(self, text: str) -> list[float]:
        """Async version of `embed_query`.

        Examples:
            >>> import asyncio
            >>> len(asyncio.run(XinferenceEmbeddings(model="minilm").aembed_query("Where is the lighthouse?")))
            384
        """
        with translated_errors:
            answer = await self._handle(EmbeddingHandle).aembed([self._query(text)], self._parameters())
            return self._checked(answer.vectors)[0]

    # Arrays

    def embed_array(self, texts: Iterable[str]) -> np.ndarray[Any, Any]:
        """Return the vectors of `embed_documents` as one array, without creating Python floats. Needs numpy.

        Args:
            texts: The texts, in a list or another iterable.

        Returns:
            A float32 array of shape `(texts, dimensions)`.

        Examples:
            >>> vectors = XinferenceEmbeddings(model="minilm").embed_array(["one", "two"])
            >>> vectors.shape, str(vectors.dtype)
            ((2, 384), 'float32')
        """
        with translated_errors, progress(self.show_progress, _length(texts)) as done:
            vectors = ArrayBuilder()
            for batch, answer in self._arrays(texts):
                vectors.add(answer)
                done(len(batch.texts))
            return vectors.finish()

    async def aembed_array(self, texts: Iterable[str]) -> np.ndarray[Any, Any]:
        """Async version of `embed_array`.

        Examples:
            >>> import asyncio
            >>> asyncio.run(XinferenceEmbeddings(model="minilm").aembed_array(["one", "two"])).shape
            (2, 384)
        """
        with translated_errors, progress(self.show_progress, _length(texts)) as done:
            vectors = ArrayBuilder()
            async with aclosing(self._aarrays(texts)) as answers:
                async for batch, answer in answers:
                    vectors.add(answer)
                    done(len(batch.texts))
            return vectors.finish()

    # Large corpora

    @overload
    def embed_stream(self, texts: Iterable[str], *, as_array: Literal[False] = False) -> Iterator[list[float]]: ...
    @overload
    def embed_stream(self, texts: Iterable[str], *, as_array: Literal[True]) -> Iterator[np.ndarray[Any, Any]]: ...
    def embed_stream(self, texts: Iterable[str], *, as_array: bool = False) -> Iterator[Any]:
        """Yield the vectors of a corpus of any size in order. Only the batches in flight are in memory.

        Args:
            texts: The texts, read lazily.
            as_array: Whether to yield one array per batch.

        Yields:
            One list of floats per text; with `as_array`, one float32 array per batch, of shape `(texts, dimensions)`.

        Examples:
            >>> corpus = (f"line {number}" for number in range(100))
            >>> sum(1 for vector in XinferenceEmbeddings(model="minilm").embed_stream(corpus))
            100
        """
        batches: Generator[tuple[Batch, Any], None, None] = self._arrays(texts) if as_array else self._lists(texts)
        with translated_errors, progress(self.show_progress, None) as done, closing(batches) as answers:
            for batch, answer in answers:
                yield from [answer] if as_array else answer
                done(len(batch.texts))

    @overload
    def aembed_stream(
        self, texts: Iterable[str], *, as_array: Literal[False] = False
    ) -> AsyncIterator[list[float]]: ...
    @overload
    def aembed_stream(
        self, texts: Iterable[str], *, as_array: Literal[True]
    ) -> AsyncIterator[np.ndarray[Any, Any]]: ...
    async def aembed_stream(self, texts: Iterable[str], *, as_array: bool = False) -> AsyncIterator[Any]:
        """Async version of `embed_stream`.

        Examples:
            >>> import asyncio
            >>> async def count() -> int:
            ...     model = XinferenceEmbeddings(model="minilm")
            ...     return len([vector async for vector in model.aembed_stream(["a", "b"])])
            >>> asyncio.run(count())
            2
        """
        batches: AsyncGenerator[tuple[Batch, Any], None] = self._aarrays(texts) if as_array else self._alists(texts)
        with translated_errors, progress(self.show_progress, None) as done:
            async with aclosing(batches) as answers:
                async for batch, answer in answers:
                    for piece in [answer] if as_array else answer:
                        yield piece
                    done(len(batch.texts))

    # Images

    def embed_images(self, images: Iterable[ImageLike]) -> list[list[float]]:
        """Return one vector per image, in input order, from a model such as CLIP or Qwen3-VL-Embedding.

        Args:
            images: Paths, `file://`, data or http(s) URLs, or bytes. Files are read locally and sent as data URLs.

        Returns:
            `len(images)` lists of `dimensions` floats, comparable with the same model's vectors of texts.

        Raises:
            XinferenceConfigurationError: An input is not an image.
            XinferenceModelTypeError: The model cannot embed images.

        Examples:
            >>> dot = bytes.fromhex("47494638396101000100800000ff0000000000")  # a GIF of one pixel
            >>> dot += bytes.fromhex("21f90400000000002c00000000010001000002024401003b")
            >>> [len(vector) for vector in XinferenceEmbeddings(model="tiny-clip").embed_images([dot, dot])]
            [64, 64]
        """
        with translated_errors:
            vectors: list[list[float]] = []
            handle, same = self._handle(EmbeddingHandle), SameDimensions(self.model_uid, self.dimensions)
            for start, inputs in image_batches(images):
                answer = handle.embed_images(inputs, self._parameters(), start=start)
                vectors += same.checked(answer.vectors, start)
            return vectors

    async def aembed_images(self, images: Iterable[ImageLike]) -> list[list[float]]:
        """Async version of `embed_images`.

        Examples:
            >>> import asyncio
            >>> dot = bytes.fromhex("47494638396101000100800000ff0000000000")  # a GIF of one pixel
            >>> dot += bytes.fromhex("21f90400000000002c00000000010001000002024401003b")
            >>> len(asyncio.run(XinferenceEmbeddings(model="tiny-clip").aembed_images([dot])))
            1
        """
        with translated_errors:
            vectors: list[list[float]] = []
            handle, same = self._handle(EmbeddingHandle), SameDimensions(self.model_uid, self.dimensions)
            for start, inputs in image_batches(images):
                answer = await handle.aembed_images(inputs, self._parameters(), start=start)
                vectors += same.checked(answer.vectors, start)
            return vectors

    # Shared helpers

    def _lists(self, texts: Iterable[str]) -> Generator[tuple[Batch, list[list[float]]], None, None]:
        handle, parameters = self._handle(EmbeddingHandle), self._parameters()
        same = SameDimensions(self.model_uid, self.dimensions)
        answers = run_batches_in_order(
            lambda batch: handle.embed(batch.texts, parameters, start=batch.start),
            self._batches(texts),
            self.max_concurrency,
        )
        with closing(answers):
            for batch, answer in answers:
                yield batch, same.checked(answer.vectors, batch.start)

    async def _alists(self, texts: Iterable[str]) -> AsyncGenerator[tuple[Batch, list[list[float]]], None]:
        handle, parameters = self._handle(EmbeddingHandle), self._parameters()
        same = SameDimensions(self.model_uid, self.dimensions)
        async with aclosing(
            arun_batches_in_order(
                lambda batch: handle.aembed(batch.texts, parameters, start=batch.start),
                self._batches(texts),
                self.max_concurrency,
            )
        ) as answers:
            async for batch, answer in answers:
                yield batch, same.checked(answer.vectors, batch.start)

    def _arrays(self, texts: Iterable[str]) -> Generator[tuple[Batch, np.ndarray[Any, Any]], None, None]:
        handle, parameters = self._handle(EmbeddingHandle), self._parameters()
        same = SameDimensions(self.model_uid, self.dimensions)
        answers = run_batches_in_order(
            lambda batch: handle.embed_array(batch.texts, parameters, start=batch.start),
            self._batches(texts),
            self.max_concurrency,
        )
        with closing(answers):
            for batch, answer in answers:
                yield batch, same.checked(answer, batch.start)

    async def _aarrays(self, texts: Iterable[str]) -> AsyncGenerator[tuple[Batch, np.ndarray[Any, Any]], None]:
        handle, parameters = self._handle(EmbeddingHandle), self._parameters()
        same = SameDimensions(self.model_uid, self.dimensions)
        async with aclosing(
            arun_batches_in_order(
                lambda batch: handle.aembed_array(batch.texts, parameters, start=batch.start),
                self._batches(texts),
                self.max_concurrency,
            )
        ) as answers:
            async for batch, answer in answers:
                yield batch, same.checked(answer, batch.start)

    def _batches(self, texts: Iterable[str]) -> Iterator[Batch]:
        return batches_of(texts, self.batch_size, prefix=self.document_instruction)

    def _query(self, text: str) -> str:
        if not isinstance(text, str):
            msg = f"the query must be a string, got {type(text).__name__}: {text!r:.60}"
            raise XinferenceConfigurationError(msg)
        return self.query_instruction + text

    def _parameters(self) -> JSON:
        parameters: JSON = {}
        if self.dimensions is not None:
            parameters["dimensions"] = self.dimensions
        if self.truncate is not None and self.truncate is not False:
            # A negative number means the model's own limit to the server.
            parameters["truncate_prompt_tokens"] = -1 if self.truncate is True else self.truncate
        return {**parameters, **self.model_kwargs}

    def _checked(self, vectors: list[list[float]]) -> list[list[float]]:
        return SameDimensions(self.model_uid, self.dimensions).checked(vectors, 0)


def _length(texts: Iterable[str]) -> int | None:
    return len(texts) if isinstance(texts, (list, tuple)) else None
