"""The handle of a rerank model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xinference_bridge.client.flow import Flow
from xinference_bridge.client.transport.call import Budget
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions
from xinference_bridge.models.base import ModelHandle, naming_request
from xinference_bridge.protocol.rerank import RerankResult, rerank_from_response, rerank_request


class RerankHandle(ModelHandle):
    """One running rerank model."""

    __slots__ = ()

    def rerank(
        self,
        query: str,
        documents: Sequence[str],
        parameters: Mapping[str, Any],
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> list[RerankResult]:
        """Return the documents' scores, best first.

        Args:
            query: What the documents are compared with.
            documents: The documents' texts.
            parameters: Parameters under their wire names; `top_n` bounds how many come back.
            options: What this call states differently from its connection.

        Returns:
            One result a document, or `top_n` of them.

        Raises:
            XinferenceProtocolError: The answer names documents that were not sent, or leaves some out.
            XinferenceError: Whatever else went wrong.
        """
        return (
            self._run(options, lambda found, budget: found.rerank_flow(query, documents, parameters, budget))
            if documents
            else []
        )

    async def arerank(
        self,
        query: str,
        documents: Sequence[str],
        parameters: Mapping[str, Any],
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> list[RerankResult]:
        """Async version of `rerank`."""
        return (
            await self._arun(options, lambda found, budget: found.rerank_flow(query, documents, parameters, budget))
            if documents
            else []
        )

    def rerank_flow(
        self, query: str, documents: Sequence[str], parameters: Mapping[str, Any], budget: Budget
    ) -> Flow[list[RerankResult]]:
        """Return the flow of `rerank`."""
        request = rerank_request(self.uid, query, documents, parameters)
        response = yield from self._client.requests.send(request, budget)
        with naming_request(response, self.uid):
            return rerank_from_response(response, len(documents), parameters.get("top_n"))
