"""An embedding model that a Xinference server runs, as LlamaIndex calls it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.bridge.pydantic import Field
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.utils import get_tqdm_iterable
from llama_index_instrumentation import get_dispatcher
from typing_extensions import Unpack

from llamaindex_xinference_bridge._base import ServedModelFields
from llamaindex_xinference_bridge._constructor_kwargs import EmbeddingSettings
from llamaindex_xinference_bridge._rate_limit import RateLimited
from xinference_bridge.errors import XinferenceProtocolError
from xinference_bridge.models.batching import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_CONCURRENCY,
    Batch,
    arun_batches_in_order,
    batches_of,
    run_batches_in_order,
)
from xinference_bridge.models.embedding import EmbeddingHandle
from xinference_bridge.protocol.http import JSON

dispatcher = get_dispatcher(__name__)


class XinferenceEmbedding(ServedModelFields, RateLimited, BaseEmbedding):
    """An embedding model that runs on a Xinference server.

    Texts are sent in batches, several requests at once; the vectors come back in the order of the texts. Cache, rate
    limiter, callbacks and events are those of llama-index-core.

    Raises:
        XinferenceConfigurationError: `model_uid` is missing, or a setting is misspelt or invalid.

    Examples:
        ```python
        embed_model = XinferenceEmbedding(model_uid="bge-m3", connection=conn)  # or base_url=, api_key=
        embed_model.get_text_embedding_batch(["one", "two"])
        ```
    """

    embed_batch_size: int = Field(default=DEFAULT_BATCH_SIZE, gt=0, le=2048)
    """The largest number of texts in one request; very long texts are sent in smaller batches."""
    num_workers: int | None = Field(default=None, gt=0)
    """Concurrent requests, in threads or tasks. None: 4."""
    query_instruction: str | None = None
    """Text put before each query, with a space between, for models that were trained with one."""
    text_instruction: str | None = None
    """Text put before each text of the index, with a space between."""
    dimensions: int | None = Field(default=None, gt=0)
    """The wanted length of the vectors: sent to the server, and checked in its answer, since most engines ignore it."""
    model_kwargs: JSON = Field(default_factory=dict)
    """Further parameters of the server, passed through unchecked, such as `truncate_prompt_tokens`."""

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
        """Return the name used in serialised objects and traces.

        Returns:
            The name of this class.
        """
        return "XinferenceEmbedding"

    def to_payload(self) -> JSON:
        """Return what events report of the model, without any credential.

        Returns:
            Class name, model name and batch size.
        """
        return {
            "class_name": self.class_name(),
            "model_name": self.model_name,
            "embed_batch_size": self.embed_batch_size,
        }

    # What llama-index-core's own methods stand on

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

    def _embed(self, texts: list[str]) -> list[Embedding]:
        return self._checked(self._handle(EmbeddingHandle).embed(texts, self._parameters()).vectors)

    async def _aembed(self, texts: list[str]) -> list[Embedding]:
        return self._checked((await self._handle(EmbeddingHandle).aembed(texts, self._parameters())).vectors)

    def _parameters(self) -> JSON:
        return self.model_kwargs if self.dimensions is None else {"dimensions": self.dimensions, **self.model_kwargs}

    def _checked(self, vectors: list[Embedding]) -> list[Embedding]:
        # Within one answer all are of one length: the core refuses others.
        if self.dimensions is not None and vectors and len(vectors[0]) != self.dimensions:
            msg = (
                f"{self.model_uid!r} gave vectors of {len(vectors[0])} floats, not of dimensions={self.dimensions}: "
                "its engine ignores that parameter. Leave it out, or launch a model with vectors of that length."
            )
            raise XinferenceProtocolError(msg, url=self.server_url, model_uid=self.model_uid)
        return vectors

    # Many texts. llama-index-core sends one batch after another, and in async code all of them at once: here both keep
    # a bounded number in flight, and an error names the inputs that were not embedded.

    @dispatcher.span
    def get_text_embedding_batch(
        self,
        texts: list[str],
        show_progress: bool = False,
        **kwargs: Any,  # noqa: ARG002 - of llama-index-core's signature
    ) -> list[Embedding]:
        """Return one vector per text.

        Args:
            texts: The texts; an empty list makes no request.
            show_progress: Whether to show a progress bar.
            **kwargs: Not used.

        Returns:
            `len(texts)` lists of floats, in the order of the texts.

        Raises:
            XinferenceError: A request failed; the message names the inputs that were not embedded.
        """
        progress = _Progress(texts, show_progress)
        told = _Told(self)
        send = self._get_text_embeddings if self.embeddings_cache is None else self._get_text_embeddings_cached
        vectors: list[Embedding] = []
        for batch, answer in run_batches_in_order(send, self._begun(texts, told), self._concurrency()):
            told.end(batch, answer)
            progress.done(batch)
            vectors += answer
        progress.close()
        return vectors

    @dispatcher.span
    async def aget_text_embedding_batch(
        self,
        texts: list[str],
        show_progress: bool = False,
        **kwargs: Any,  # noqa: ARG002 - of llama-index-core's signature
    ) -> list[Embedding]:
        """Async version of `get_text_embedding_batch`."""
        progress = _Progress(texts, show_progress)
        told = _Told(self)
        vectors: list[Embedding] = []
        async for batch, answer in arun_batches_in_order(
            self._asend, told.begun(self._batches(texts)), self._concurrency()
        ):
            told.end(batch, answer)
            progress.done(batch)
            vectors += answer
        progress.close()
        return vectors

    async def _asend(self, texts: list[str]) -> list[Embedding]:
        if self.rate_limiter is not None:
            await self.rate_limiter.async_acquire()
        if self.embeddings_cache is not None:
            return await self._aget_text_embeddings_cached(texts)
        return await self._aget_text_embeddings(texts)

    def _begun(self, texts: list[str], told: _Told) -> Iterator[Batch]:
        """The batches, each told of and let pass by the rate limiter when its turn comes."""
        for batch in told.begun(self._batches(texts)):
            if self.rate_limiter is not None:
                self.rate_limiter.acquire()
            yield batch

    def _batches(self, texts: list[str]) -> Iterator[Batch]:
        return batches_of(texts, self.embed_batch_size)

    def _concurrency(self) -> int:
        return self.num_workers if self.num_workers is not None else DEFAULT_CONCURRENCY


def _instructed(instruction: str | None, text: str) -> str:
    return f"{instruction} {text}" if instruction else text


class _Told:
    """Tells callbacks and events of each batch: that it begins, and what came of it."""

    def __init__(self, model: XinferenceEmbedding) -> None:
        self._callbacks = model.callback_manager
        self._payload = model.to_payload()
        self._event_ids: dict[int, str] = {}

    def begun(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches, told of as they are taken."""
        for batch in batches:
            dispatcher.event(EmbeddingStartEvent(model_dict=self._payload))
            self._event_ids[batch.start] = self._callbacks.on_event_start(
                CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: self._payload}
            )
            yield batch

    def end(self, batch: Batch, vectors: list[Embedding]) -> None:
        """This batch was answered."""
        self._callbacks.on_event_end(
            CBEventType.EMBEDDING,
            payload={EventPayload.CHUNKS: batch.texts, EventPayload.EMBEDDINGS: vectors},
            event_id=self._event_ids.pop(batch.start),
        )
        # Its validation would look at every number once more: a third of the time of embedding.
        dispatcher.event(EmbeddingEndEvent.model_construct(chunks=batch.texts, embeddings=vectors))


class _Progress:
    """A progress bar over the texts, where one is wanted, that moves as answers come."""

    def __init__(self, texts: list[str], shown: bool) -> None:
        self._bar = iter(get_tqdm_iterable(texts, shown, "Generating embeddings"))

    def done(self, batch: Batch) -> None:
        """This batch was answered."""
        for _ in batch.texts:
            next(self._bar, None)

    def close(self) -> None:
        """All were: asked for one more, the bar finishes its line."""
        next(self._bar, None)
