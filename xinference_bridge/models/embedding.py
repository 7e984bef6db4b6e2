"""The handle of an embedding model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xinference_bridge.client.flow import Flow
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions
from xinference_bridge.models.base import ModelHandle, naming_request
from xinference_bridge.protocol.embedding import Embeddings, embeddings_from_response, embeddings_request


class EmbeddingHandle(ModelHandle):
    """One running embedding model."""

    __slots__ = ()

    def embed(
        self, texts: Sequence[str], parameters: Mapping[str, Any], options: CallOptions = DEFAULT_OPTIONS
    ) -> Embeddings:
        """Return one vector a text, in input order, from one request; none for none, without a request.

        Args:
            texts: The texts, as many as one request takes.
            parameters: Parameters under their wire names; absent is the server's default.
            options: What this call states differently from its connection.

        Returns:
            `len(texts)` vectors of `dimensions` floats.

        Raises:
            XinferenceProtocolError: A vector is missing, doubled, broken or of another length.
            XinferenceError: Whatever else went wrong.
        """
        return self._client.run(self._embed(texts, parameters, options)) if texts else Embeddings([])

    async def aembed(
        self, texts: Sequence[str], parameters: Mapping[str, Any], options: CallOptions = DEFAULT_OPTIONS
    ) -> Embeddings:
        """Async version of `embed`."""
        return await self._client.arun(self._embed(texts, parameters, options)) if texts else Embeddings([])

    def _embed(self, texts: Sequence[str], parameters: Mapping[str, Any], options: CallOptions) -> Flow[Embeddings]:
        client = self._client
        request = embeddings_request(self.uid, texts, parameters)
        response = yield from client.requests.send(request, client.budget(options))
        with naming_request(response, self.uid):
            return embeddings_from_response(response, len(texts))
