"""The handle of a rerank model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xinference_bridge.client.flow import Flow
from xinference_bridge.client.transport.call import Budget
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions
from xinference_bridge.models.base import ModelHandle, naming_request
from xinference_bridge.protocol.model_info import wrong_type
from xinference_bridge.protocol.rerank import (
    RerankItem,
    RerankResult,
    has_images,
    rerank_from_response,
    rerank_request,
    with_captions,
)

_NO_CAPTIONS: Mapping[int, str] = {}


class RerankHandle(ModelHandle):
    """One running rerank model."""

    __slots__ = ()

    def rerank(
        self,
        query: RerankItem,
        documents: Sequence[RerankItem],
        parameters: Mapping[str, Any],
        options: CallOptions = DEFAULT_OPTIONS,
        *,
        captions: Mapping[int, str] = _NO_CAPTIONS,
    ) -> list[RerankResult]:
        """Return the documents' scores, best first.

        Args:
            query: A text, or an object such as `{"image": "data:image/png;base64,…"}`.
            documents: Texts, or objects such as `{"image": "data:image/png;base64,…"}`.
            parameters: Parameters by their wire names; `top_n` limits the number of results.
            options: Options that override the connection's settings.
            captions: By index, the texts to rank instead of images if the model ranks only text.

        Returns:
            One result per document, or `top_n` results.

        Raises:
            XinferenceModelTypeError: The model cannot rank images.
            XinferenceProtocolError: The response has unknown or missing documents.
            XinferenceError: The call failed for another reason.
        """
        return (
            self._run(options, lambda found, budget: found.rerank_flow(query, documents, parameters, budget, captions))
            if documents
            else []
        )

    async def arerank(
        self,
        query: RerankItem,
        documents: Sequence[RerankItem],
        parameters: Mapping[str, Any],
        options: CallOptions = DEFAULT_OPTIONS,
        *,
        captions: Mapping[int, str] = _NO_CAPTIONS,
    ) -> list[RerankResult]:
        """Async version of `rerank`."""
        return (
            await self._arun(
                options, lambda found, budget: found.rerank_flow(query, documents, parameters, budget, captions)
            )
            if documents
            else []
        )

    def rerank_flow(
        self,
        query: RerankItem,
        documents: Sequence[RerankItem],
        parameters: Mapping[str, Any],
        budget: Budget,
        captions: Mapping[int, str] = _NO_CAPTIONS,
    ) -> Flow[list[RerankResult]]:
        """Return the flow of `rerank`."""
        if has_images(query, documents):
            model = yield from self._description_if_allowed(self._client, budget)
            if model is not None and model.type == "rerank" and "rerank_vision" not in model.abilities:
                documents = with_captions(documents, captions)
                if has_images(query, documents):
                    # 4.1.0 answers an opaque 500, or ranks the data URL as text.
                    running = yield from self._client.running.models()
                    raise wrong_type(model, running, self.connection.server_url, "rerank_vision")
        request = rerank_request(self.uid, query, documents, parameters)
        response = yield from self._client.requests.send(request, budget)
        with naming_request(response, self.uid):
            return rerank_from_response(response, len(documents), parameters.get("top_n"))
