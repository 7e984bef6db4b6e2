"""XinferenceEmbeddings: texts in, vectors out, many texts a request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing, closing

from langchain_core.embeddings import Embeddings
from pydantic import Field, SecretStr
from typing_extensions import Unpack

from langchain_xinference_bridge._base import XinferenceFields
from langchain_xinference_bridge._constructor_kwargs import EmbeddingsSettings
from langchain_xinference_bridge._progress import progress
from langchain_xinference_bridge.errors import translated_errors
from xinference_bridge.errors import XinferenceConfigurationError, XinferenceProtocolError
from xinference_bridge.models.batching import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_CONCURRENCY,
    Batch,
    arun_batches_in_order,
    batches_of,
    run_batches_in_order,
)
from xinference_bridge.models.embedding import EmbeddingHandle
from xinference_bridge.protocol.embedding import Embeddings as Vectors
from xinference_bridge.protocol.http import JSON


class XinferenceEmbeddings(XinferenceFields, Embeddings):
    """An embedding model that runs on a Xinference server.

    Texts are sent in batches, several requests at once; the vectors come back in the order of the texts, as Python
    floats.

    Raises:
        XinferenceConfigurationError: `model_uid` is missing, or a setting is misspelt or invalid.

    Examples:
        >>> embeddings = XinferenceEmbeddings(model="minilm", query_instruction="query: ")
        >>> [len(vector) for vector in embeddings.embed_documents(["Paris", "Berlin"])]
        [384, 384]
    """

    batch_size: int = Field(default=DEFAULT_BATCH_SIZE, ge=1)
    """The largest number of texts in one request."""
    max_concurrency: int = Field(default=DEFAULT_CONCURRENCY, ge=1)
    """Concurrent requests."""
    show_progress: bool = False
    """Whether to show a progress bar over the texts; needs tqdm."""
    truncate: bool | int | None = None
    """True truncates each text at the model's limit, a number at that many tokens. None: the server's default."""
    dimensions: int | None = Field(default=None, ge=1)
    """The wanted length of the vectors: sent to the server, and checked in its answer."""
    query_instruction: str = ""
    """Text put before each query. BGE, E5 and Qwen3-Embedding want one."""
    document_instruction: str = ""
    """Text put before each document, such as `passage: ` for E5."""

    def __init__(
        self,
        server_url: str | None = None,
        model_uid: str | None = None,
        api_key: SecretStr | str | None = None,
        **settings: Unpack[EmbeddingsSettings],
    ) -> None:
        super().__init__(server_url, model_uid, api_key, **settings)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text.

        Args:
            texts: The texts; an empty list makes no request.

        Returns:
            `len(texts)` lists of floats, in the order of the texts.

        Raises:
            XinferenceError: A request failed; the message names the inputs that were not embedded.

        Examples:
            >>> embeddings = XinferenceEmbeddings(model="minilm", batch_size=2)
            >>> len(embeddings.embed_documents(["one", "two", "three"]))
            3
            >>> embeddings.embed_documents([])
            []
        """
        with translated_errors, progress(self.show_progress, len(texts)) as done:
            vectors: list[list[float]] = []
            for batch, answer in run_batches_in_order(self._send, self._batches(texts), self.max_concurrency):
                vectors += self._checked(answer)
                done(len(batch.texts))
            return vectors

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Async version of `embed_documents`.

        Examples:
            >>> import asyncio
            >>> len(asyncio.run(XinferenceEmbeddings(model="minilm").aembed_documents(["one", "two"])))
            2
        """
        with translated_errors, progress(self.show_progress, len(texts)) as done:
            vectors: list[list[float]] = []
            async with aclosing(
                arun_batches_in_order(self._asend, self._batches(texts), self.max_concurrency)
            ) as answers:
                async for batch, answer in answers:
                    vectors += self._checked(answer)
                    done(len(batch.texts))
            return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query.

        Args:
            text: The query; `query_instruction` is put before it.

        Returns:
            A list of floats, as many as the model has dimensions.

        Raises:
            XinferenceError: The request failed.

        Examples:
            >>> len(XinferenceEmbeddings(model="minilm").embed_query("Where is the lighthouse?"))
            384
        """
        with translated_errors:
            return self._checked(self._send([self._query(text)]))[0]

    async def aembed_query(self, text: str) -> list[float]:
        """Async version of `embed_query`.

        Examples:
            >>> import asyncio
            >>> len(asyncio.run(XinferenceEmbeddings(model="minilm").aembed_query("Where is the lighthouse?")))
            384
        """
        with translated_errors:
            return self._checked(await self._asend([self._query(text)]))[0]

    def embed_stream(self, texts: Iterable[str]) -> Iterator[list[float]]:
        """Embed a corpus of any length, holding in memory only the batches in flight.

        Args:
            texts: Any iterable of texts, read as the vectors are taken.

        Yields:
            One list of floats per text, in the order of the texts.

        Raises:
            XinferenceError: A request failed; the message names the inputs that were not embedded.

        Examples:
            >>> corpus = (f"line {number}" for number in range(100))
            >>> sum(1 for vector in XinferenceEmbeddings(model="minilm").embed_stream(corpus))
            100
        """
        with (
            translated_errors,
            progress(self.show_progress, None) as done,
            closing(run_batches_in_order(self._send, self._batches(texts), self.max_concurrency)) as answers,
        ):
            for batch, answer in answers:
                yield from self._checked(answer)
                done(len(batch.texts))

    async def aembed_stream(self, texts: Iterable[str]) -> AsyncIterator[list[float]]:
        """Async version of `embed_stream`.

        Examples:
            >>> import asyncio
            >>> async def count(texts: list[str]) -> int:
            ...     embeddings = XinferenceEmbeddings(model="minilm")
            ...     return len([vector async for vector in embeddings.aembed_stream(texts)])
            >>> asyncio.run(count(["a", "b"]))
            2
        """
        with translated_errors, progress(self.show_progress, None) as done:
            async with aclosing(
                arun_batches_in_order(self._asend, self._batches(texts), self.max_concurrency)
            ) as answers:
                async for batch, answer in answers:
                    for vector in self._checked(answer):
                        yield vector
                    done(len(batch.texts))

    def _batches(self, texts: Iterable[str]) -> Iterator[Batch]:
        if isinstance(texts, str):
            # Its letters would be embedded one by one.
            msg = f"a list of texts is embedded, not one text ({texts[:40]!r}): give [text], or use embed_query"
            raise XinferenceConfigurationError(msg)
        if self.document_instruction:
            texts = (_instructed(self.document_instruction, text) for text in texts)
        return batches_of(texts, self.batch_size)

    def _query(self, text: str) -> str:
        return _instructed(self.query_instruction, text)

    def _send(self, texts: list[str]) -> Vectors:
        return self._handle(EmbeddingHandle).embed(texts, self._parameters())

    async def _asend(self, texts: list[str]) -> Vectors:
        return await self._handle(EmbeddingHandle).aembed(texts, self._parameters())

    def _parameters(self) -> JSON:
        parameters: JSON = {}
        if self.dimensions is not None:
            parameters["dimensions"] = self.dimensions
        if self.truncate is not None and self.truncate is not False:
            # A negative number is the server's word for the model's own limit.
            parameters["truncate_prompt_tokens"] = -1 if self.truncate is True else self.truncate
        return {**parameters, **self.model_kwargs}

    def _checked(self, answer: Vectors) -> list[list[float]]:
        vectors = answer.vectors
        if self.dimensions is not None and vectors and len(vectors[0]) != self.dimensions:
            msg = (
                f"{self.model_uid!r} was asked for vectors of {self.dimensions} dimensions and gave {len(vectors[0])}: "
                "its engine ignores the wish. Leave dimensions= out, or give the model's own."
            )
            raise XinferenceProtocolError(msg, model_uid=self.model_uid)
        return vectors


def _instructed(instruction: str, text: object) -> str:
    if not isinstance(text, str):
        msg = f"a text to embed must be a string, got {type(text).__name__}: {text!r:.60}"
        raise XinferenceConfigurationError(msg)
    return instruction + text
