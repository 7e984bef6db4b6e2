"""`XinferenceRerank`: the document compressor for LangChain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from types import EllipsisType
from typing import Any, ClassVar, TypedDict

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import Field, SecretStr
from typing_extensions import Unpack, override

from langchain_xinference_bridge._base import XinferenceFields
from langchain_xinference_bridge._constructor_kwargs import RerankSettings
from langchain_xinference_bridge.errors import XinferenceConfigurationError, translated_errors
from xinference_bridge.connection_settings import CallOptions
from xinference_bridge.integration.image_input import ranked_item
from xinference_bridge.integration.parameters import RERANK, merged, options_from
from xinference_bridge.models.batching import refuse_one
from xinference_bridge.models.rerank import RerankHandle
from xinference_bridge.protocol.http import JSON
from xinference_bridge.protocol.rerank import RerankItem, RerankResult

#: A text, a `Document`, or an object: `{"image": path, bytes or URL}`, `{"text": …}`, `{"video": URL}`.
Rankable = str | Document | Mapping[str, Any]


class Ranked(TypedDict):
    """The relevance of one document: its index in the input list, and its score."""

    index: int
    relevance_score: float


class XinferenceRerank(XinferenceFields, BaseDocumentCompressor):
    """A rerank model that runs on a Xinference server, for `ContextualCompressionRetriever` or on its own.

    Raises:
        XinferenceConfigurationError: `model_uid` is missing, or a setting is misspelled or invalid.

    Examples:
        >>> reranker = XinferenceRerank(model="tiny-rerank", top_n=2)
        >>> len(reranker.rerank("Where is the lighthouse?", ["On a rock.", "In the soup.", "At noon."]))
        2
    """

    top_n: int | None = Field(default=3, ge=0)
    """Maximum number of documents to keep. None: all."""
    score_threshold: float | None = None
    """Drop documents with a lower score. None: keep them."""
    instruction: str | None = None
    """What counts as relevant, for models that accept an instruction: Qwen3-Reranker, Qwen3-VL-Reranker."""

    _none_is_said: ClassVar[frozenset[str]] = frozenset({"top_n"})

    def __init__(
        self,
        server_url: str | None = None,
        model_uid: str | None = None,
        api_key: SecretStr | str | None = None,
        **settings: Unpack[RerankSettings],
    ) -> None:
        super().__init__(server_url, model_uid, api_key, **settings)

    def rerank(
        self,
        query: str | Mapping[str, Any],
        documents: Sequence[Rankable],
        *,
        top_n: int | EllipsisType | None = ...,
        score_threshold: float | EllipsisType | None = ...,
        **keywords: Any,
    ) -> list[Ranked]:
        """Rank documents by their relevance to a query.

        Args:
            query: A text, or an object such as `{"image": "cat.png"}`.
            documents: Texts, `Document` objects, or objects such as `{"image": "cat.png"}`, in any mix.
            top_n: Maximum number of documents; None keeps all. Default: the field's value.
            score_threshold: Drops lower scores; None keeps them. Default: the field's value.
            **keywords: Other parameters of the server (`instruction`, …), and `timeout`, `deadline`, `max_retries`
                of this call.

        Returns:
            The results, best first: `index` in `documents`, and `relevance_score`.

        Raises:
            XinferenceConfigurationError: A keyword is unknown, or a document has an invalid type.
            XinferenceModelTypeError: The model cannot rank images.
            XinferenceError: The request failed.

        Examples:
            >>> reranker = XinferenceRerank(model="tiny-rerank", top_n=2)
            >>> ranked = reranker.rerank("Where is the lighthouse?", ["On a rock.", "In the soup.", "At noon."])
            >>> ranked[0]["relevance_score"] >= ranked[1]["relevance_score"]
            True
        """
        with translated_errors:
            parameters, options = self._asked(top_n, keywords)
            results = self._handle(RerankHandle).rerank(_query(query), _items(documents), parameters, options)
            return self._kept(results, score_threshold)

    async def arerank(
        self,
        query: str | Mapping[str, Any],
        documents: Sequence[Rankable],
        *,
        top_n: int | EllipsisType | None = ...,
        score_threshold: float | EllipsisType | None = ...,
        **keywords: Any,
    ) -> list[Ranked]:
        """Async version of `rerank`.

        Examples:
            >>> import asyncio
            >>> reranker = XinferenceRerank(model="tiny-rerank", top_n=1)
            >>> len(asyncio.run(reranker.arerank("Where is the lighthouse?", ["On a rock.", "In the soup."])))
            1
        """
        with translated_errors:
            parameters, options = self._asked(top_n, keywords)
            results = await self._handle(RerankHandle).arerank(_query(query), _items(documents), parameters, options)
            return self._kept(results, score_threshold)

    @override
    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Return copies of the most relevant documents, best first.

        Args:
            documents: The documents. They do not change.
            query: The query.
            callbacks: Not used.

        Returns:
            At most `top_n` copies, each with its score as `relevance_score` in its metadata.

        Raises:
            XinferenceError: The request failed.

        Examples:
            >>> documents = [Document("On a rock."), Document("In the soup.")]
            >>> reranker = XinferenceRerank(model="tiny-rerank", top_n=1)
            >>> kept = reranker.compress_documents(documents, "Where is the lighthouse?")
            >>> list(kept[0].metadata)
            ['relevance_score']
        """
        with translated_errors:
            documents = _documents(documents)
        return _scored(documents, self.rerank(query, documents))

    @override
    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Async version of `compress_documents`.

        Examples:
            >>> import asyncio
            >>> reranker = XinferenceRerank(model="tiny-rerank", top_n=1)
            >>> len(asyncio.run(reranker.acompress_documents([Document("On a rock.")], "Where is the lighthouse?")))
            1
        """
        with translated_errors:
            documents = _documents(documents)
        return _scored(documents, await self.arerank(query, documents))

    def _asked(self, top_n: int | EllipsisType | None, keywords: dict[str, Any]) -> tuple[JSON, CallOptions]:
        own = dict(keywords)
        options = options_from(own)
        most = self.top_n if top_n is ... else top_n
        if most is not None and (type(most) is not int or most < 0):
            msg = f"top_n must be an integer of at least 0, or None for all documents, got {most!r}"
            raise XinferenceConfigurationError(msg)
        parameters: JSON = {} if most is None else {"top_n": most}
        if self.instruction is not None:
            parameters["instruction"] = self.instruction
        return {**parameters, **self.model_kwargs, **merged(RERANK, own, where="rerank")}, options

    def _kept(self, results: list[RerankResult], score_threshold: float | EllipsisType | None) -> list[Ranked]:
        least = self.score_threshold if score_threshold is ... else score_threshold
        return [
            Ranked(index=result.index, relevance_score=result.relevance_score)
            for result in results
            if least is None or result.relevance_score >= least
        ]


def _query(query: str | Mapping[str, Any]) -> RerankItem:
    if isinstance(query, Mapping):
        return ranked_item(query, "the query")
    if not isinstance(query, str):
        msg = f"the query must be a string or an object, got {type(query).__name__}: {query!r:.60}"
        raise XinferenceConfigurationError(msg)
    return query


def _documents(documents: Iterable[Document]) -> list[Document]:
    refuse_one(documents, "documents", "Documents")
    found = list(documents)
    for place, document in enumerate(found):
        if not isinstance(document, Document):
            kind = type(document).__name__
            msg = f"document {place} must be a Document, got {kind}: {document!r:.60}. For texts, use rerank()."
            raise XinferenceConfigurationError(msg)
    return found


def _items(documents: Iterable[Rankable]) -> list[RerankItem]:
    refuse_one(documents, "documents", "strings, Documents or objects")
    return [_item(place, document) for place, document in enumerate(documents)]


def _item(place: int, document: object) -> RerankItem:
    if isinstance(document, Mapping):
        return ranked_item(document, f"document {place}")
    text = document.page_content if isinstance(document, Document) else document
    if not isinstance(text, str):
        msg = f"document {place} must be a string or a Document, got {type(text).__name__}: {text!r:.60}"
        raise XinferenceConfigurationError(msg)
    return text


def _scored(documents: Sequence[Document], ranked: Iterable[Ranked]) -> list[Document]:
    kept = []
    for place in ranked:
        # The caller's documents, including nested metadata, must not change.
        document = documents[place["index"]].model_copy()
        document.metadata = {**deepcopy(document.metadata), "relevance_score": place["relevance_score"]}
        kept.append(document)
    return kept
