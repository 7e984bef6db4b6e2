"""An embedding model that a Xinference server runs, as LlamaIndex calls it."""

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
from llamaindex_xinference_bridge._query_cache import QueryCache
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
    """An embedding model under its UID: many texts a request, several requests at a time, vectors in input order.

    ```python
    embed_model = XinferenceEmbedding(model_uid="bge-m3", connection=conn)  # or base_url=, api_key=
    embed_model.get_text_embedding_batch(["one", "two"])
    ```

    Cache, rate limiter, callbacks and events are those of llama-index-core.
    """

    embed_batch_size: int = Field(default=DEFAULT_BATCH_SIZE, gt=0, le=2048)
    """Texts of one request; very long ones are sent in fewer."""
    num_workers: int | None = Field(default=None, gt=0)
    """Concurrent requests, in threads or tasks. None: 4."""
    query_instruction: str | None = None
    """Put before a query, with a space between: some models were trained with it."""
    text_instruction: str | None = None
    """Put before a text of the index, with a space between."""
    dimensions: int | None = Field(default=None, gt=0)
    """Floats of a vector: asked for, and checked, since most engines of the server ignore it."""
    model_kwargs: JSON = Field(default_factory=dict)
    """Whatever else goes into the request, unchecked: `truncate_prompt_tokens`, …"""

    def __init__(
        self,
        model_uid: str | None = None,
        base_url: str | None = None,
        timeout: float | None = None,
        **settings: Unpack[EmbeddingSettings],
    ) -> None:
        # The order is that of `llama-index-embeddings-xinference`, whose constructor calls work here.
        super().__init__(model_uid=model_uid, base_url=base_url, timeout=timeout, **settings)
        if "model_name" not in settings:
            self.model_name = self.model_uid

    @classmethod
    def class_name(cls) -> str:
        """Return the name in serialised objects and traces.

        Returns:
            The name of this class.
        """
        return "XinferenceEmbedding"

    def to_payload(self) -> JSON:
        """Return what events tell of the model, without secrets.

        Returns:
            The class, the model and the size of a batch.
        """
        return {
            "class_name": self.class_name(),
            "model_name": self.model_name,
            "embed_batch_size": self.embed_batch_size,
        }

    # What llama-index-core's own methods stand on

    def get_query_embedding(self, query: str) -> Embedding:
        """Return the vector of a query.

        Args:
            query: The query; `query_instruction` is put before it.

        Returns:
            `dimensions` floats.
        """
        return super(XinferenceEmbedding, self._with_cache_of_queries()).get_query_embedding(query)

    async def aget_query_embedding(self, query: str) -> Embedding:
        """Async version of `get_query_embedding`."""
        return await super(XinferenceEmbedding, self._with_cache_of_queries()).aget_query_embedding(query)

    def _with_cache_of_queries(self) -> Self:
        """This model, with queries kept apart from texts: the same words have another vector under an instruction."""
        if self.embeddings_cache is None or (self.query_instruction or "") == (self.text_instruction or ""):
            return self
        return self.model_copy(update={"embeddings_cache": QueryCache(self.embeddings_cache)})

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

    # Many texts. llama-index-core sends one batch after another, and in async code all of them at once: here both keep
    # a bounded number in flight, and an error names the inputs that were not embedded.

    @dispatcher.span
    def get_text_embedding_batch(
        self,
        texts: Iterable[str],
        show_progress: bool = False,
        **kwargs: Any,  # noqa: ARG002 - of llama-index-core's signature
    ) -> list[Embedding]:
        """Return one vector a text, in input order.

        Args:
            texts: The texts, in a list or any other iterable; `text_instruction` is put before each.
            show_progress: Whether a bar shows how many texts are done; needs tqdm.
            **kwargs: Of llama-index-core's signature; not used.

        Returns:
            As many lists of `dimensions` floats as there are texts.

        Raises:
            XinferenceError: The first failure; it names the inputs that were not embedded.
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
        **kwargs: Any,  # noqa: ARG002 - of llama-index-core's signature
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

    # Corpora of any length, and arrays

    @overload
    def embed_stream(self, texts: Iterable[str], *, as_array: Literal[False] = False) -> Iterator[Embedding]: ...
    @overload
    def embed_stream(self, texts: Iterable[str], *, as_array: Literal[True]) -> Iterator[np.ndarray[Any, Any]]: ...
    def embed_stream(self, texts: Iterable[str], *, as_array: bool = False) -> Iterator[Any]:
        """Return the vectors of a corpus of any length one by one, in order; no more is held than is in flight.

        Args:
            texts: The texts, read as they are needed; `text_instruction` is put before each.
            as_array: Whether to yield arrays. They are not kept in `embeddings_cache`.

        Yields:
            One list of floats a text; with `as_array` one array a batch, of shape `(texts of the batch, dimensions)`.
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
        """Return one vector a text as one array: no Python floats are made. Needs numpy.

        Args:
            texts: The texts, in a list or any other iterable; `text_instruction` is put before each.

        Returns:
            float32, of shape `(texts, dimensions)`.
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
        same = self._same()

        def send(batch: Batch) -> list[Embedding]:
            if self.embeddings_cache is not None:
                return self._get_text_embeddings_cached(batch.texts)
            return self._embed([_instructed(self.text_instruction, text) for text in batch.texts], batch.start)

        with Reports(self.callback_manager, self.to_payload()) as reports:
            batches = self._let_pass_each(reports.begun(self._batches(texts)))
            answers = run_batches_in_order(send, batches, self._concurrency())
            with closing(answers):
                for batch, answer in answers:
                    reports.end(batch, same.checked(answer, batch.start))
                    yield batch, answer

    async def _aanswers(self, texts: Iterable[str]) -> AsyncGenerator[tuple[Batch, list[Embedding]], None]:
        same = self._same()

        async def send(batch: Batch) -> list[Embedding]:
            if self.rate_limiter is not None:
                await self.rate_limiter.async_acquire()
            if self.embeddings_cache is not None:
                return await self._aget_text_embeddings_cached(batch.texts)
            return await self._aembed([_instructed(self.text_instruction, text) for text in batch.texts], batch.start)

        with Reports(self.callback_manager, self.to_payload()) as reports:
            batches = reports.begun(self._batches(texts))
            async with aclosing(arun_batches_in_order(send, batches, self._concurrency())) as answers:
                async for batch, answer in answers:
                    reports.end(batch, same.checked(answer, batch.start))
                    yield batch, answer

    def _let_pass_each(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches, each let pass by the rate limiter when its turn comes."""
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
