"""`XinferenceRerank`: the node postprocessor for LlamaIndex."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llama_index.core.bridge.pydantic import Field
from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher
from typing_extensions import Unpack

from llamaindex_xinference_bridge._base import ServedModelFields
from llamaindex_xinference_bridge._constructor_kwargs import RerankSettings
from llamaindex_xinference_bridge._images import image_of
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.integration.image_input import image_input
from xinference_bridge.models.rerank import RerankHandle
from xinference_bridge.protocol.http import JSON
from xinference_bridge.protocol.rerank import RerankItem, RerankResult

dispatcher = get_dispatcher(__name__)


class XinferenceRerank(ServedModelFields, BaseNodePostprocessor):
    """A rerank model that runs on a Xinference server, as a node postprocessor.

    If the model supports images, a node with an image is ranked by it, otherwise by its text. Pass the reranker to a
    query engine with `index.as_query_engine(node_postprocessors=[reranker])`. It returns new nodes with the
    model's scores, best first. The input nodes do not change.

    Raises:
        XinferenceConfigurationError: `model_uid` is missing, or a setting is misspelled or invalid.

    Examples:
        ```python
        reranker = XinferenceRerank(model_uid="bge-reranker-v2-m3", connection=conn, top_n=3)  # or model=, base_url=
        nodes = index.as_retriever(similarity_top_k=20).retrieve("When was the lighthouse built?")
        best = reranker.postprocess_nodes(nodes, query_str="When was the lighthouse built?")
        ```
    """

    top_n: int | None = Field(default=5, ge=0)
    """Maximum number of nodes to keep. None: all."""
    metadata_mode: MetadataMode = MetadataMode.EMBED
    """Which metadata to send with a node's text."""
    instruction: str | None = None
    """What counts as relevant, for models that accept an instruction: Qwen3-Reranker, Qwen3-VL-Reranker."""
    model_kwargs: JSON = Field(default_factory=dict)
    """Other parameters of the server, passed through unchanged."""

    def __init__(
        self,
        model_uid: str | None = None,
        base_url: str | None = None,
        top_n: int | None = 5,
        **settings: Unpack[RerankSettings],
    ) -> None:
        if model_uid is None and "model" not in settings:
            model_uid = "bge-reranker-base"  # the default of `llama-index-postprocessor-xinference-rerank`
        super().__init__(model_uid=model_uid, base_url=base_url, **settings)
        self.top_n = top_n  # here None has a meaning

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "top_n":
            _refuse_wrong_top_n(value)
        super().__setattr__(name, value)

    @classmethod
    def class_name(cls) -> str:
        """Return the class name for serialized objects and traces.

        Returns:
            The name of this class.
        """
        return "XinferenceRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query_of(query_bundle)
        _refuse_other_nodes(nodes)
        with self._told(nodes, query_bundle, query) as best:
            items, captions = self._documents(nodes)
            results = self._handle(RerankHandle).rerank(query, items, self._parameters(), captions=captions)
            best.extend(_reranked(nodes, results))
        return best

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query_of(query_bundle)
        _refuse_other_nodes(nodes)
        with self._told(nodes, query_bundle, query) as best:
            items, captions = self._documents(nodes)
            results = await self._handle(RerankHandle).arerank(query, items, self._parameters(), captions=captions)
            best.extend(_reranked(nodes, results))
        return best

    def _documents(self, nodes: list[NodeWithScore]) -> tuple[list[RerankItem], dict[int, str]]:
        """Return the documents to rank, and the captions of images for a model that ranks only text."""
        items: list[RerankItem] = []
        captions: dict[int, str] = {}
        for place, node in enumerate(nodes):
            text = node.node.get_content(metadata_mode=self.metadata_mode)
            image = image_of(node.node)
            if image is None:
                items.append(text)
                continue
            items.append(image_input(image, what=f"the image of node {place}"))
            if node.node.get_content(metadata_mode=MetadataMode.NONE).strip():
                captions[place] = text
        return items, captions

    def _parameters(self) -> JSON:
        own: JSON = {"top_n": self.top_n, "instruction": self.instruction}
        parameters = {**{name: value for name, value in own.items() if value is not None}, **self.model_kwargs}
        _refuse_wrong_top_n(parameters.get("top_n"))  # of model_kwargs, which come first
        return parameters

    @contextmanager
    def _told(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None, query: str
    ) -> Iterator[list[NodeWithScore]]:
        """Reports the start and the resulting nodes to callbacks and events."""
        wanted = len(nodes) if self.top_n is None else self.top_n
        dispatcher.event(ReRankStartEvent(query=query_bundle, nodes=nodes, top_n=wanted, model_name=self.model_uid))
        best: list[NodeWithScore] = []
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: self.model_uid,
            EventPayload.QUERY_STR: query,
            EventPayload.TOP_K: wanted,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            yield best
            event.on_end(payload={EventPayload.NODES: best})
        dispatcher.event(ReRankEndEvent(nodes=best))


def _query_of(query_bundle: QueryBundle | None) -> str:
    if query_bundle is None:
        msg = "Reranking requires a query: pass query_bundle= or query_str="
        raise XinferenceConfigurationError(msg)
    if not isinstance(query_bundle, QueryBundle):
        msg = f"query_bundle must be a QueryBundle, got {type(query_bundle).__name__}: pass a text as query_str="
        raise XinferenceConfigurationError(msg)
    if not isinstance(query_bundle.query_str, str):
        msg = f"query_str must be a string, got {type(query_bundle.query_str).__name__}"
        raise XinferenceConfigurationError(msg)
    return query_bundle.query_str


def _refuse_wrong_top_n(top_n: object) -> None:
    if top_n is not None and (not isinstance(top_n, int) or isinstance(top_n, bool) or top_n < 0):
        msg = f"XinferenceRerank: top_n must be an integer of at least 0, or None for all nodes, got {top_n!r:.60}"
        raise XinferenceConfigurationError(msg)


def _refuse_other_nodes(nodes: object) -> None:
    if not isinstance(nodes, (list, tuple)):
        msg = f"nodes must be a list of NodeWithScore, got {type(nodes).__name__}"
        raise XinferenceConfigurationError(msg)
    for place, node in enumerate(nodes):
        if not isinstance(node, NodeWithScore):
            kind = type(node).__name__
            msg = f"node {place} of those to rerank must be a NodeWithScore, got {kind}: give NodeWithScore(node=…)"
            raise XinferenceConfigurationError(msg)


def _reranked(nodes: list[NodeWithScore], results: list[RerankResult]) -> list[NodeWithScore]:
    return [NodeWithScore(node=nodes[result.index].node, score=result.relevance_score) for result in results]
