"""Report bulk embedding to callbacks, events and a progress bar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.base.embeddings.base_sparse import SparseEmbedding
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation.events.embedding import (
    EmbeddingEndEvent,
    EmbeddingStartEvent,
    SparseEmbeddingEndEvent,
    SparseEmbeddingStartEvent,
)
from llama_index.core.utils import get_tqdm_iterable
from llama_index_instrumentation import get_dispatcher
from typing_extensions import Self

from xinference_bridge.models.batching import Batch

dispatcher = get_dispatcher(__name__)


class Reports:
    """Reports the start and end of each batch to callbacks and events. Every start has an end."""

    def __init__(self, callbacks: CallbackManager, payload: dict[str, Any]) -> None:
        self._callbacks = callbacks
        self._payload = payload
        self._open: dict[int, tuple[str, list[str]]] = {}

    def begun(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches and report the start of each."""
        for batch in batches:
            dispatcher.event(EmbeddingStartEvent(model_dict=self._payload))
            event_id = self._callbacks.on_event_start(
                CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: self._payload}
            )
            self._open[batch.start] = (event_id, batch.texts)
            yield batch

    def end(self, batch: Batch, vectors: list[Embedding]) -> None:
        """Report the end of a batch."""
        event_id, texts = self._open.pop(batch.start)
        self._close(event_id, texts, {EventPayload.CHUNKS: texts, EventPayload.EMBEDDINGS: vectors}, vectors)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        payload: dict[str, Any] = {} if error is None else {EventPayload.EXCEPTION: error}
        for event_id, texts in self._open.values():
            self._close(event_id, texts, {EventPayload.CHUNKS: texts, EventPayload.EMBEDDINGS: [], **payload}, [])
        self._open.clear()

    def _close(self, event_id: str, texts: list[str], payload: dict[str, Any], vectors: list[Embedding]) -> None:
        self._callbacks.on_event_end(CBEventType.EMBEDDING, payload=payload, event_id=event_id)
        # Validation would check every number again, a third of the time of embedding.
        dispatcher.event(EmbeddingEndEvent.model_construct(chunks=texts, embeddings=vectors))


class SparseReports:
    """Reports each batch of sparse vectors to events, which is all that llama-index-core has for them."""

    def __init__(self, payload: dict[str, Any]) -> None:
        self._payload = payload
        self._open: dict[int, list[str]] = {}

    def begun(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches and report the start of each."""
        for batch in batches:
            dispatcher.event(SparseEmbeddingStartEvent(model_dict=self._payload))
            self._open[batch.start] = batch.texts
            yield batch

    def end(self, batch: Batch, vectors: list[SparseEmbedding]) -> None:
        """Report the end of a batch."""
        texts = self._open.pop(batch.start)
        dispatcher.event(SparseEmbeddingEndEvent.model_construct(chunks=texts, embeddings=vectors))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for texts in self._open.values():
            dispatcher.event(SparseEmbeddingEndEvent.model_construct(chunks=texts, embeddings=[]))
        self._open.clear()


class Progress:
    """A progress bar over the inputs, where one is wanted, that moves as answers come."""

    def __init__(self, inputs: Iterable[Any], shown: bool) -> None:
        counted = inputs if isinstance(inputs, (list, tuple)) else []
        self._bar = iter(get_tqdm_iterable(counted, shown, "Generating embeddings"))

    def done(self, count: int) -> None:
        """Move on by so many inputs."""
        for _ in range(count):
            next(self._bar, None)

    def close(self) -> None:
        """Complete the bar's line, which requires one more iteration."""
        next(self._bar, None)
