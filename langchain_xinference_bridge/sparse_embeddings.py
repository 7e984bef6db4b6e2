"""`XinferenceSparseEmbeddings`: sparse embeddings for LangChain, for Qdrant's hybrid search."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing, closing

from pydantic import Field, SecretStr
from typing_extensions import Unpack

from langchain_xinference_bridge._base import XinferenceFields
from langchain_xinference_bridge._constructor_kwargs import SparseEmbeddingsSettings
from langchain_xinference_bridge.errors import translated_errors
from xinference_bridge.models.batching import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_CONCURRENCY,
    arun_batches_in_order,
    batches_of,
    run_batches_in_order,
)
from xinference_bridge.models.embedding import EmbeddingHandle
from xinference_bridge.protocol.embedding import SparseVector

try:
    from langchain_qdrant.sparse_embeddings import SparseEmbeddings as _SparseEmbeddings
except ImportError:  # optional: other stores that read `indices` and `values` work too

    class _SparseEmbeddings:  # type: ignore[no-redef]
        """A stand-in for the base class of langchain-qdrant, which is not installed."""


class XinferenceSparseEmbeddings(XinferenceFields, _SparseEmbeddings):
    """A sparse embedding model on a Xinference server: BGE-M3 on the engine `flag`, launched with `return_sparse`.

    A vector has token ids and their weights. Pass this object to `QdrantVectorStore` as `sparse_embedding`.

    Examples:
        >>> sparse = XinferenceSparseEmbeddings(model="bge-m3")
        >>> vector = sparse.embed_query("Where is the lighthouse?")
        >>> len(vector.indices) == len(vector.values) > 0
        True
    """

    batch_size: int = Field(default=DEFAULT_BATCH_SIZE, ge=1)
    """Maximum number of texts per request."""
    max_concurrency: int = Field(default=DEFAULT_CONCURRENCY, ge=1)
    """Maximum number of concurrent requests."""

    def __init__(
        self,
        server_url: str | None = None,
        model_uid: str | None = None,
        api_key: SecretStr | str | None = None,
        **settings: Unpack[SparseEmbeddingsSettings],
    ) -> None:
        super().__init__(server_url, model_uid, api_key, **settings)

    def embed_documents(self, texts: Iterable[str]) -> list[SparseVector]:  # type: ignore[override] # has its fields
        """Return one sparse vector per text, in input order.

        Args:
            texts: The texts, in a list or another iterable.

        Returns:
            `len(texts)` vectors with `indices` (ascending token ids) and `values` (their weights).

        Raises:
            XinferenceProtocolError: The model returned dense vectors.
            XinferenceError: The call failed for another reason; the message lists the inputs that were not embedded.

        Examples:
            >>> sparse = XinferenceSparseEmbeddings(model="bge-m3")
            >>> len(sparse.embed_documents(["one", "two"]))
            2
        """
        handle = self._handle(EmbeddingHandle)
        with translated_errors:
            answers = run_batches_in_order(
                lambda batch: handle.embed_sparse(batch.texts, self.model_kwargs, start=batch.start),
                batches_of(texts, self.batch_size),
                self.max_concurrency,
            )
            with closing(answers):
                return [vector for _, answer in answers for vector in answer]

    async def aembed_documents(self, texts: Iterable[str]) -> list[SparseVector]:  # type: ignore[override] # as above
        """Async version of `embed_documents`.

        Examples:
            >>> import asyncio
            >>> sparse = XinferenceSparseEmbeddings(model="bge-m3")
            >>> len(asyncio.run(sparse.aembed_documents(["one", "two"])))
            2
        """
        handle = self._handle(EmbeddingHandle)
        with translated_errors:
            async with aclosing(
                arun_batches_in_order(
                    lambda batch: handle.aembed_sparse(batch.texts, self.model_kwargs, start=batch.start),
                    batches_of(texts, self.batch_size),
                    self.max_concurrency,
                )
            ) as answers:
                return [vector async for _, answer in answers for vector in answer]

    def embed_query(self, text: str) -> SparseVector:  # type: ignore[override] # as above
        """Return the sparse vector of a query.

        Args:
            text: The query.

        Returns:
            The query's token ids and their weights.

        Examples:
            >>> vector = XinferenceSparseEmbeddings(model="bge-m3").embed_query("Where is the lighthouse?")
            >>> len(vector.indices) == len(vector.values)
            True
        """
        return self.embed_documents([text])[0]

    async def aembed_query(self, text: str) -> SparseVector:  # type: ignore[override] # as above
        """Async version of `embed_query`.

        Examples:
            >>> import asyncio
            >>> sparse = XinferenceSparseEmbeddings(model="bge-m3")
            >>> vector = asyncio.run(sparse.aembed_query("Where is the lighthouse?"))
            >>> len(vector.indices) == len(vector.values)
            True
        """
        return (await self.aembed_documents([text]))[0]
