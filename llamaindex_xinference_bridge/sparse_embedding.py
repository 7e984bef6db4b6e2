"""`XinferenceSparseEmbedding`: sparse embeddings for LlamaIndex."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding, SparseEmbedding
from llama_index.core.bridge.pydantic import Field
from typing_extensions import Unpack

from llamaindex_xinference_bridge._base import ServedModelFields
from llamaindex_xinference_bridge._constructor_kwargs import SparseEmbeddingSettings
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.models.batching import DEFAULT_BATCH_SIZE
from xinference_bridge.models.embedding import EmbeddingHandle
from xinference_bridge.protocol.embedding import SparseVector
from xinference_bridge.protocol.http import JSON


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

    def as_qdrant_function(self, texts: list[str]) -> tuple[list[list[int]], list[list[float]]]:
        """Return the token ids and weights of texts, in the form that `QdrantVectorStore` expects.

        Args:
            texts: The texts.

        Returns:
            Two lists, with one list of token ids and one list of weights per text.
        """
        vectors = self._vectors(texts)
        return [vector.indices for vector in vectors], [vector.values for vector in vectors]

    def _get_query_embedding(self, query: str) -> SparseEmbedding:
        return self._get_text_embeddings([query])[0]

    async def _aget_query_embedding(self, query: str) -> SparseEmbedding:
        return (await self._aget_text_embeddings([query]))[0]

    def _get_text_embedding(self, text: str) -> SparseEmbedding:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> SparseEmbedding:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[SparseEmbedding]:
        return list(map(_as_dict, self._vectors(texts)))

    async def _aget_text_embeddings(self, texts: list[str]) -> list[SparseEmbedding]:
        _refuse_others(texts)
        return list(map(_as_dict, await self._handle(EmbeddingHandle).aembed_sparse(texts, self.model_kwargs)))

    def _vectors(self, texts: list[str]) -> list[SparseVector]:
        _refuse_others(texts)
        return self._handle(EmbeddingHandle).embed_sparse(texts, self.model_kwargs)


def _as_dict(vector: SparseVector) -> SparseEmbedding:
    return dict(zip(vector.indices, vector.values, strict=True))


def _refuse_others(texts: Sequence[Any]) -> None:
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            msg = f"text {place} of those to embed must be a string, got {type(text).__name__}: {text!r:.60}"
            raise XinferenceConfigurationError(msg)
