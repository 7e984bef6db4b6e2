"""`XinferenceSparseEmbedding`: sparse embeddings for LlamaIndex."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import aclosing, closing
from typing import Any

from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding, SparseEmbedding
from llama_index.core.bridge.pydantic import Field
from llama_index_instrumentation import get_dispatcher
from typing_extensions import Unpack

from llamaindex_xinference_bridge._base import ServedModelFields
from llamaindex_xinference_bridge._constructor_kwargs import SparseEmbeddingSettings
from llamaindex_xinference_bridge._embedding_reports import Progress, SparseReports
from xinference_bridge.models.batching import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_CONCURRENCY,
    Batch,
    arun_batches_in_order,
    batches_of,
    run_batches_in_order,
)
from xinference_bridge.models.embedding import EmbeddingHandle
from xinference_bridge.protocol.embedding import SparseVector
from xinference_bridge.protocol.http import JSON

dispatcher = get_dispatcher(__name__)


class XinferenceSparseEmbedding(ServedModelFields, BaseSparseEmbedding):
    """A sparse embedding model on a Xinference server: BGE-M3 on the engine `flag`, launched with `return_sparse`.

    ```python
    sparse = XinferenceSparseEmbedding(model_uid="bge-m3-flag", connection=conn)
    sparse.get_text_embedding("Where is the lighthouse?")  # {102: 0.59, …}: token id → weight
    ```

    Pass `as_qdrant_function` to `QdrantVectorStore` as `sparse_doc_fn` and `sparse_query_fn`.
    """

    embed_batch_size: int = Field(default=DEFAULT_BATCH_SIZE, gt=0, le=2048)
    """Maximum number of texts per request."""
    model_kwargs: JSON = Field(default_factory=dict)
    """Other parameters of the server, passed through unchanged."""

    def __init__(
        self,
        model_uid: str | None = None,
        base_url: str | None = None,
        timeout: float | None = None,
        **settings: Unpack[SparseEmbeddingSettings],
    ) -> None:
        super().__init__(model_uid=model_uid, base_url=base_url, timeout=timeout, **settings)
        if "model_name" not in settings:
            self.model_name = self.model_uid

    @classmethod
    def class_name(cls) -> str:
        """Return the class name for serialized objects and traces.

        Returns:
            The name of this class.
        """
        return "XinferenceSparseEmbedding"

    def to_payload(self) -> dict[str, Any]:
        """Return what traces show of this model. llama-index-core before 0.14.23 has no such method.

        Returns:
            The class, the model's UID and the batch size; no credential.
        """
        return {
            "class_name": self.class_name(),
            "model_name": self.model_name,
            "embed_batch_size": self.embed_batch_size,
        }

    def as_qdrant_function(self, texts: list[str]) -> tuple[list[list[int]], list[list[float]]]:
        """Return the token ids and weights of texts, in the form that `QdrantVectorStore` expects.

        Args:
            texts: The texts.

        Returns:
            Two lists, with one list of token ids and one list of weights per text.
        """
        vectors = self.get_text_embedding_batch(texts)
        return [list(vector) for vector in vectors], [list(vector.values()) for vector in vectors]

    def _get_query_embedding(self, query: str) -> SparseEmbedding:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> SparseEmbedding:
        return await self._aget_text_embedding(query)

    def _get_text_embedding(self, text: str) -> SparseEmbedding:
        return self._send(next(self._batches([text])))[0]

    async def _aget_text_embedding(self, text: str) -> SparseEmbedding:
        return (await self._asend(next(self._batches([text]))))[0]

    # llama-index-core sends batches one after another, or in async code all at once, and does not accept generators.

    @dispatcher.span
    def get_text_embedding_batch(
        self,
        texts: Iterable[str],
        show_progress: bool = False,
        **kwargs: Any,  # noqa: ARG002 - in llama-index-core's signature
    ) -> list[SparseEmbedding]:
        """Return one sparse vector per text, in input order.

        Args:
            texts: The texts, in a list or another iterable.
            show_progress: Whether to show a progress bar; needs tqdm.
            **kwargs: Not used; part of llama-index-core's signature.

        Returns:
            One dict per text, from token id to weight.

        Raises:
            XinferenceError: A request failed; the message lists the inputs that were not embedded.
        """
        progress, vectors = Progress(texts, show_progress), []
        with SparseReports(self.to_payload()) as reports:
            answers = run_batches_in_order(self._send, reports.begun(self._batches(texts)), self._concurrency())
            with closing(answers):
                for batch, answer in answers:
                    reports.end(batch, answer)
                    progress.done(len(batch.texts))
                    vectors += answer
        progress.close()
        return vectors

    @dispatcher.span
    async def aget_text_embedding_batch(
        self, texts: Iterable[str], show_progress: bool = False
    ) -> list[SparseEmbedding]:
        """Async version of `get_text_embedding_batch`."""
        progress, vectors = Progress(texts, show_progress), []
        with SparseReports(self.to_payload()) as reports:
            answers = arun_batches_in_order(self._asend, reports.begun(self._batches(texts)), self._concurrency())
            async with aclosing(answers):
                async for batch, answer in answers:
                    reports.end(batch, answer)
                    progress.done(len(batch.texts))
                    vectors += answer
        progress.close()
        return vectors

    def _send(self, batch: Batch) -> list[SparseEmbedding]:
        handle = self._handle(EmbeddingHandle)
        return list(map(_as_dict, handle.embed_sparse(batch.texts, self.model_kwargs, start=batch.start)))

    async def _asend(self, batch: Batch) -> list[SparseEmbedding]:
        handle = self._handle(EmbeddingHandle)
        return list(map(_as_dict, await handle.aembed_sparse(batch.texts, self.model_kwargs, start=batch.start)))

    def _batches(self, texts: Iterable[str]) -> Iterator[Batch]:
        return batches_of(texts, self.embed_batch_size)

    def _concurrency(self) -> int:
        return self.num_workers if self.num_workers is not None else DEFAULT_CONCURRENCY


def _as_dict(vector: SparseVector) -> SparseEmbedding:
    return dict(zip(vector.indices, vector.values, strict=True))
