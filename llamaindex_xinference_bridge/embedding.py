"""`XinferenceEmbedding`: the embedding model for LlamaIndex."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Iterator
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Literal, overload

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.bridge.pydantic import Field
from llama_index_instrumentation import get_dispatcher
from typing_extensions import Self, Unpack

from llamaindex_xinference_bridge._base import ServedModelFields
from llamaindex_xinference_bridge._constructor_kwargs import EmbeddingSettings
from llamaindex_xinference_bridge._embedding_reports import Progress, Reports
from llamaindex_xinference_bridge._instructed_cache import InstructedCache
from llamaindex_xinference_bridge._rate_limit import RateLimited
from xinference_bridge.errors import XinferenceConfigurationError
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

dispatcher = get_dispatcher(__name__)


class XinferenceEmbedding(ServedModelFields, RateLimited, BaseEmbedding):
    """An embedding model on a Xinference server. Sends concurrent batches and returns vectors in input order.

    ```python
    embed_model = XinferenceEmbedding(model_uid="bge-m3", connection=conn)  # or base_url=, api_key=
    embed_model.get_text_embedding_batch(["one", "two"])
    ```

    llama-index-core provides the cache, rate limiter, callbacks and events.
    """

    embed_batch_size: int = Field(default=DEFAULT_BATCH_SIZE, gt=0, le=2048)
    """Maximum number of texts per request. Very long texts are sent in smaller batches."""
    num_workers: int | None = Field(default=None, gt=0)
    """Maximum number of concurrent requests. None: 4."""
    query_instruction: str | None = None
    """Prefix of each query, followed by a space, for models trained with one."""
    text_instruction: str | None = None
    """Prefix of each text, followed by a space."""
    dimensions: int | None = Field(default=None, gt=0)
    """The requested length of the vectors. It is checked, because most engines ignore it."""
    model_kwargs: JSON = Field(default_factory=dict)
    """Other parameters of the server, passed through unchanged: `truncate_prompt_tokens`, …"""

    def __init__(
        self,
        model_uid: str | None = None,
        base_url: str | None = None,
        timeout: float | None = None,
        **settings: Unpack[EmbeddingSettings],
    ) -> None:
        # The same order as in `llama-index-embeddings-xinference`, so that its constructor calls work.
        super().__init__(model_uid=model_uid, base_url=base_url, timeout=timeout, **settings)
        if "model_name" not in settings:
            self.model_name = self.model_uid

    @classmethod
    def class_name(cls) -> str:
        """Return the class name for serialized objects and traces.

        Returns:
            The name of this class.
        """
        return "XinferenceEmbedding"

    def to_payload(self) -> JSON:
        """Return the model's description for events, without secrets.

        Returns:
            The class, the model and the batch size.
        """
        return {
            "class_name": self.class_name(),
            "model_name": self.model_name,
            "embed_batch_size": self.embed_batch_size,
        }

    # Used by llama-index-core's own methods

    def get_query_embedding(self, query: str) -> Embedding:
        """Return the vector of a query.

        Args:
            query: The query, without `query_instruction`, which is added.

        Returns:
            `dimensions` floats.
        """
        return super(XinferenceEmbedding, self._with_cache_of(self.query_instruction)).get_query_embedding(query)

    async def aget_query_embedding(self, query: str) -> Embedding:
        """Async version of `get_query_embedding`."""
        model = self._with_cache_of(self.query_instruction)
        return await super(XinferenceEmbedding, model).aget_query_embedding(query)

    def get_text_embedding(self, text: str) -> Embedding:
        """Return the vector of a text of the index.

        Args:
            text: The text; `text_instruction` is put before it.

        Returns:
            `dimensions` floats.
        """
        return super(XinferenceEmbedding, self._with_cache_of(self.text_instruction)).get_text_embedding(text)

    async def aget_text_embedding(self, text: str) -> Embedding:
        """Async version of `get_text_embedding`."""
        model = self._with_cache_of(self.text_instruction)
        return await super(XinferenceEmbedding, model).aget_text_embedding(text)

    def _with_cache_of(self, instruction: str | None) -> Self:
        """This model, with the part of its cache that belongs to an instruction."""
        if self.embeddings_cache is None or not instruction:
            return self
        return self.model_copy(update={"embeddings_cache": InstructedCache(self.embeddings_cache, instruction)})

    def _get_query_embedding(self, query: str) -> Embedding:
        self._let_pass()
        return self._embed([_instructed(self.query_instruction, query)])[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        await self._alet_pass()
        return (await self._aembed([_instructed(self.query_instruction, query)]))[0]

    def _get_text_embedding(self, text: str) -> Embedding:
        self._let_pass()
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        await self._alet_pass()
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._embed([_instructed(self.text_instruction, text) for text in texts])

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await self._aembed([_instructed(self.text_instruction, text) for text in texts])

    def _embed(self, texts: list[str], start: int = 0) -> list[Embedding]:
        answer = self._handle(EmbeddingHandle).embed(texts, self._parameters(), start=start)
        return self._same().checked(answer.vectors, start)

    async def _aembed(self, texts: list[str], start: int = 0) -> list[Embedding]:
        answer = await self._handle(EmbeddingHandle).aembed(texts, self._parameters(), start=start)
        return self._same().checked(answer.vectors, start)

    def _parameters(self) -> JSON:
        return self.model_kwargs if self.dimensions is None else {"dimensions": self.dimensions, **self.model_kwargs}

    def _same(self) -> SameDimensions:
        return SameDimensions(self.model_uid, self.dimensions)

    # Bulk embedding. llama-index-core sends batches one by one, and in async code all at once. Here both keep
    # a limited number in flight, and an error lists the inputs that were not embedded.

    @dispatcher.span
    def get_text_embedding_batch(
        self,
        texts: Iterable[str],
        show_progress: bool = False,
        **kwargs: Any,  # noqa: ARG002 - in llama-index-core's signature
    ) -> list[Embedding]:
        """Return one vector per text, in input order.

        Args:
            texts: The texts, in a list or another iterable, without `text_instruction`, which is added.
            show_progress: Whether to show a progress bar; needs tqdm.
            **kwargs: Not used; part of llama-index-core's signature.

        Returns:
            `len(texts)` lists of `dimensions` floats.

        Raises:
            XinferenceError: A request failed; the message lists the inputs that were not embedded.
        """
        progress = Progress(texts, show_progress)
        vectors: list[Embedding] = []
        with closing(self._answers(texts)) as answers:
            for batch, answer in answers:
                progress.done(len(batch.texts))
                vectors += answer
        progress.close()
        return vectors

    @dispatcher.span
    async def aget_text_embedding_batch(
        self,
        texts: Iterable[str],
        show_progress: bool = False,
        **kwargs: Any,  # noqa: ARG002 - in llama-index-core's signature
    ) -> list[Embedding]:
        """Async version of `get_text_embedding_batch`."""
        progress = Progress(texts, show_progress)
        vectors: list[Embedding] = []
        async with aclosing(self._aanswers(texts)) as answers:
            async for batch, answer in answers:
                progress.done(len(batch.texts))
                vectors += answer
        progress.close()
        return vectors

    # Large corpora and arrays

    @overload
    def embed_stream(self, texts: Iterable[str], *, as_array: Literal[False] = False) -> Iterator[Embedding]: ...
    @overload
    def embed_stream(self, texts: Iterable[str], *, as_array: Literal[True]) -> Iterator[np.ndarray[Any, Any]]: ...
    def embed_stream(self, texts: Iterable[str], *, as_array: bool = False) -> Iterator[Any]:
        """Yield the vectors of a corpus of any size in order. Only the batches in flight are in memory.

        Args:
            texts: The texts, read lazily, without `text_instruction`, which is added.
            as_array: Whether to yield one array per batch. They are not kept in `embeddings_cache`.

        Yields:
            One list of floats per text; with `as_array`, one float32 array per batch, of shape `(texts, dimensions)`.
        """
        if not as_array:
            with closing(self._answers(texts)) as answers:
                for _, answer in answers:
                    yield from answer
            return
        handle, parameters, same = self._handle(EmbeddingHandle), self._parameters(), self._same()
        batches = self._batches(texts, prefix=_prefix(self.text_instruction))
        arrays = run_batches_in_order(
            lambda batch: handle.embed_array(batch.texts, parameters, start=batch.start),
            self._let_pass_each(batches),
            self._concurrency(),
        )
        with closing(arrays):
            for batch, array in arrays:
                yield same.checked(array, batch.start)

    @overload
    def aembed_stream(self, texts: Iterable[str], *, as_array: Literal[False] = False) -> AsyncIterator[Embedding]: ...
    @overload
    def aembed_stream(
        self, texts: Iterable[str], *, as_array: Literal[True]
    ) -> AsyncIterator[np.ndarray[Any, Any]]: ...
    async def aembed_stream(self, texts: Iterable[str], *, as_array: bool = False) -> AsyncIterator[Any]:
        """Async version of `embed_stream`."""
        if not as_array:
            async with aclosing(self._aanswers(texts)) as answers:
                async for _, answer in answers:
                    for vector in answer:
                        yield vector
            return
        handle, parameters, same = self._handle(EmbeddingHandle), self._parameters(), self._same()

        async def send(batch: Batch) -> np.ndarray[Any, Any]:
            if self.rate_limiter is not None:
                await self.rate_limiter.async_acquire()
            return await handle.aembed_array(batch.texts, parameters, start=batch.start)

        batches = self._batches(texts, prefix=_prefix(self.text_instruction))
        async with aclosing(arun_batches_in_order(send, batches, self._concurrency())) as arrays:
            async for batch, array in arrays:
                yield same.checked(array, batch.start)

    def embed_array(self, texts: Iterable[str]) -> np.ndarray[Any, Any]:
        """Return one vector per text as one array, without creating Python floats. Needs numpy.

        Args:
            texts: The texts, in a list or another iterable, without `text_instruction`, which is added.

        Returns:
            A float32 array of shape `(texts, dimensions)`.
        """
        vectors = ArrayBuilder()
        for array in self.embed_stream(texts, as_array=True):
            vectors.add(array)
        return vectors.finish()

    async def aembed_array(self, texts: Iterable[str]) -> np.ndarray[Any, Any]:
        """Async version of `embed_array`."""
        vectors = ArrayBuilder()
        async for array in self.aembed_stream(texts, as_array=True):
            vectors.add(array)
        return vectors.finish()

    def _answers(self, texts: Iterable[str]) -> Generator[tuple[Batch, list[Embedding]], None, None]:
        same, cached = self._same(), self._with_cache_of(self.text_instruction)

        def send(batch: Batch) -> list[Embedding]:
            if self.embeddings_cache is not None:
                return cached._get_text_embeddings_cached(batch.texts)  # noqa: SLF001 - the same class
            return self._embed([_instructed(self.text_instruction, text) for text in batch.texts], batch.start)

        with Reports(self.callback_manager, self.to_payload()) as reports:
            batches = self._let_pass_each(reports.begun(self._batches(texts)))
            answers = run_batches_in_order(send, batches, self._concurrency())
            with closing(answers):
                for batch, answer in answers:
                    reports.end(batch, same.checked(answer, batch.start))
                    yield batch, answer

    async def _aanswers(self, texts: Iterable[str]) -> AsyncGenerator[tuple[Batch, list[Embedding]], None]:
        same, cached = self._same(), self._with_cache_of(self.text_instruction)

        async def send(batch: Batch) -> list[Embedding]:
            if self.rate_limiter is not None:
                await self.rate_limiter.async_acquire()
            if self.embeddings_cache is not None:
                return await cached._aget_text_embeddings_cached(batch.texts)  # noqa: SLF001 - the same class
            return await self._aembed([_instructed(self.text_instruction, text) for text in batch.texts], batch.start)

        with Reports(self.callback_manager, self.to_payload()) as reports:
            batches = reports.begun(self._batches(texts))
            async with aclosing(arun_batches_in_order(send, batches, self._concurrency())) as answers:
                async for batch, answer in answers:
                    reports.end(batch, same.checked(answer, batch.start))
                    yield batch, answer

    def _let_pass_each(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches, each after the rate limiter allows it."""
        for batch in batches:
            if self.rate_limiter is not None:
                self.rate_limiter.acquire()
            yield batch

    def _batches(self, texts: Iterable[str], prefix: str = "") -> Iterator[Batch]:
        return batches_of(texts, self.embed_batch_size, prefix=prefix)

    def _concurrency(self) -> int:
        return self.num_workers if self.num_workers is not None else DEFAULT_CONCURRENCY


def _prefix(instruction: str | None) -> str:
    return f"{instruction} " if instruction else ""


def _instructed(instruction: str | None, text: str) -> str:
    if not isinstance(text, str):
        msg = f"a text to embed must be a string, got {type(text).__name__}: {text!r:.60}"
        raise XinferenceConfigurationError(msg)
    return _prefix(instruction) + text
