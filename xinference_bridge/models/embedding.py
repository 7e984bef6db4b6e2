"""The handle of an embedding model: dense vectors as floats or arrays, and sparse vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from xinference_bridge.client.flow import Flow
from xinference_bridge.client.transport.call import Budget
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions
from xinference_bridge.errors import XinferenceProtocolError, XinferenceUnsupportedError
from xinference_bridge.models.base import ModelHandle, naming_request
from xinference_bridge.protocol.embedding import (
    Embeddings,
    Item,
    SparseVector,
    array_from_response,
    embeddings_from_response,
    embeddings_request,
    sparse_from_response,
    sparse_request,
)
from xinference_bridge.protocol.http import Request, Response
from xinference_bridge.protocol.model_info import wrong_type

if TYPE_CHECKING:
    import numpy as np

Vectors = TypeVar("Vectors")
Batch = TypeVar("Batch", bound="Sequence[Any] | np.ndarray[Any, Any]")


class EmbeddingHandle(ModelHandle):
    """One running embedding model."""

    __slots__ = ()

    def embed(
        self,
        inputs: Sequence[Item],
        parameters: Mapping[str, Any],
        options: CallOptions = DEFAULT_OPTIONS,
        *,
        start: int = 0,
    ) -> Embeddings:
        """Return one vector per input, in input order, from one request. Without inputs, no request is sent.

        Args:
            inputs: Texts, or objects such as `{"image": "data:image/png;base64,…"}`, as many as one request takes.
            parameters: Parameters by their wire names. An absent one has the server's default.
            options: Options that override the connection's settings.
            start: The index of the first input among all inputs of the call, for errors.

        Returns:
            `len(inputs)` vectors of `dimensions` floats.

        Raises:
            XinferenceProtocolError: A vector is missing, sparse, invalid or has another length.
            XinferenceError: The call failed for another reason.
        """
        return (
            self._run(options, lambda found, budget: found.dense_flow(inputs, parameters, budget, start))
            if inputs
            else Embeddings([])
        )

    async def aembed(
        self,
        inputs: Sequence[Item],
        parameters: Mapping[str, Any],
        options: CallOptions = DEFAULT_OPTIONS,
        *,
        start: int = 0,
    ) -> Embeddings:
        """Async version of `embed`."""
        return (
            await self._arun(options, lambda found, budget: found.dense_flow(inputs, parameters, budget, start))
            if inputs
            else Embeddings([])
        )

    def embed_array(
        self,
        inputs: Sequence[Item],
        parameters: Mapping[str, Any],
        options: CallOptions = DEFAULT_OPTIONS,
        *,
        start: int = 0,
    ) -> np.ndarray[Any, Any]:
        """Return the vectors of `embed` as one array of float32, `(len(inputs), dimensions)`.

        Raises:
            XinferenceUnsupportedError: numpy is not installed.
            XinferenceError: As for `embed`.
        """
        numpy = numpy_or_refuse()
        if not inputs:
            empty: np.ndarray[Any, Any] = numpy.empty((0, 0), dtype=numpy.float32)
            return empty
        return self._run(options, lambda found, budget: found.array_flow(inputs, parameters, budget, start))

    async def aembed_array(
        self,
        inputs: Sequence[Item],
        parameters: Mapping[str, Any],
        options: CallOptions = DEFAULT_OPTIONS,
        *,
        start: int = 0,
    ) -> np.ndarray[Any, Any]:
        """Async version of `embed_array`."""
        numpy = numpy_or_refuse()
        if not inputs:
            empty: np.ndarray[Any, Any] = numpy.empty((0, 0), dtype=numpy.float32)
            return empty
        return await self._arun(options, lambda found, budget: found.array_flow(inputs, parameters, budget, start))

    def embed_images(
        self,
        images: Sequence[Mapping[str, str]],
        parameters: Mapping[str, Any],
        options: CallOptions = DEFAULT_OPTIONS,
        *,
        start: int = 0,
    ) -> Embeddings:
        """Return one vector per image.

        Args:
            images: Objects of the form `{"image": "data:image/…;base64,…"}`.
            parameters: Parameters by their wire names. An absent one has the server's default.
            options: Options that override the connection's settings.
            start: The index of the first image among all images of the call, for errors.

        Raises:
            XinferenceModelTypeError: The model cannot embed images.
            XinferenceError: As for `embed`.
        """
        return (
            self._run(options, lambda found, budget: found.images_flow(images, parameters, budget, start))
            if images
            else Embeddings([])
        )

    async def aembed_images(
        self,
        images: Sequence[Mapping[str, str]],
        parameters: Mapping[str, Any],
        options: CallOptions = DEFAULT_OPTIONS,
        *,
        start: int = 0,
    ) -> Embeddings:
        """Async version of `embed_images`."""
        return (
            await self._arun(options, lambda found, budget: found.images_flow(images, parameters, budget, start))
            if images
            else Embeddings([])
        )

    def embed_sparse(
        self,
        texts: Sequence[str],
        parameters: Mapping[str, Any],
        options: CallOptions = DEFAULT_OPTIONS,
        *,
        start: int = 0,
    ) -> list[SparseVector]:
        """Return one sparse vector per text: token ids and their weights.

        Requires the engine `flag` and a model such as BGE-M3 that was launched with `return_sparse`.

        Raises:
            XinferenceProtocolError: The vectors are dense or invalid.
            XinferenceError: The call failed for another reason.
        """
        return (
            self._run(options, lambda found, budget: found.sparse_flow(texts, parameters, budget, start))
            if texts
            else []
        )

    async def aembed_sparse(
        self,
        texts: Sequence[str],
        parameters: Mapping[str, Any],
        options: CallOptions = DEFAULT_OPTIONS,
        *,
        start: int = 0,
    ) -> list[SparseVector]:
        """Async version of `embed_sparse`."""
        return (
            await self._arun(options, lambda found, budget: found.sparse_flow(texts, parameters, budget, start))
            if texts
            else []
        )

    def dense_flow(
        self, inputs: Sequence[Item], parameters: Mapping[str, Any], budget: Budget, start: int
    ) -> Flow[Embeddings]:
        """Return the flow of `embed`."""
        request = embeddings_request(self.uid, inputs, parameters, start)
        return self._read(request, budget, lambda response: embeddings_from_response(response, len(inputs), start))

    def images_flow(
        self, images: Sequence[Mapping[str, str]], parameters: Mapping[str, Any], budget: Budget, start: int
    ) -> Flow[Embeddings]:
        """Return the flow of `embed_images`."""
        client = self._client
        model = yield from self._description_if_allowed(client, budget)
        if model is not None and model.abilities and "embed_vision" not in model.abilities:
            # 4.1.0 answers 500 "Modality 'image' is not supported", and older servers embed the URL as text.
            running = yield from client.running.models()
            raise wrong_type(model, running, self.connection.server_url, "embed_vision")
        request = embeddings_request(self.uid, images, parameters, start)
        response = yield from client.requests.send(request, budget)
        with naming_request(response, self.uid):
            return embeddings_from_response(response, len(images), start)

    def array_flow(
        self, inputs: Sequence[Item], parameters: Mapping[str, Any], budget: Budget, start: int
    ) -> Flow[np.ndarray[Any, Any]]:
        """Return the flow of `embed_array`."""
        request = embeddings_request(self.uid, inputs, parameters, start)
        return self._read(request, budget, lambda response: array_from_response(response, len(inputs), start))

    def sparse_flow(
        self, texts: Sequence[str], parameters: Mapping[str, Any], budget: Budget, start: int
    ) -> Flow[list[SparseVector]]:
        """Return the flow of `embed_sparse`."""
        request = sparse_request(self.uid, texts, parameters, start)
        return self._read(request, budget, lambda response: sparse_from_response(response, len(texts), start))

    def _read(self, request: Request, budget: Budget, read: Callable[[Response], Vectors]) -> Flow[Vectors]:
        response = yield from self._client.requests.send(request, budget)
        with naming_request(response, self.uid):
            return read(response)


class SameDimensions:
    """Checks that all batches of a call have vectors of the same, requested length."""

    def __init__(self, uid: str, wanted: int | None = None) -> None:
        self._uid = uid
        self._wanted = wanted
        self._first: int | None = None

    def checked(self, vectors: Batch, start: int) -> Batch:
        """Return the vectors of one batch after `check`."""
        if len(vectors):
            self.check(len(vectors[0]), start)
        return vectors

    def check(self, dimensions: int, start: int) -> None:
        """Check one batch, whose vectors have the same length.

        Args:
            dimensions: The length of its vectors.
            start: The index of its first input among all inputs of the call.

        Raises:
            XinferenceProtocolError: The length is not the requested one, or not that of earlier batches.
        """
        if self._wanted is not None and dimensions != self._wanted:
            msg = (
                f"{self._uid!r} returned vectors of {dimensions} dimensions instead of {self._wanted}: its engine "
                "ignores dimensions=. Leave it out, or pass the model's own number."
            )
            raise XinferenceProtocolError(msg, model_uid=self._uid)
        if self._first is None:
            self._first = dimensions
        elif dimensions != self._first:
            msg = (
                f"{self._uid!r} returned vectors of {self._first} dimensions, but of {dimensions} from input {start} "
                "on: the model behind this UID changed, or its replicas differ. Embed all texts again."
            )
            raise XinferenceProtocolError(msg, model_uid=self._uid)


class ArrayBuilder:
    """Collects the arrays of all batches in one array that grows in place, so that no vector is in memory twice."""

    def __init__(self) -> None:
        self._numpy = numpy_or_refuse()
        self._rows: np.ndarray[Any, Any] = self._numpy.empty((0, 0), dtype=self._numpy.float32)
        self._filled = 0

    def add(self, rows: np.ndarray[Any, Any]) -> None:
        """Add the vectors of one batch. They must have the length of the earlier ones."""
        need = self._filled + len(rows)
        if need > len(self._rows):
            # A quarter more than needed; untouched pages take no memory.
            self._rows.resize((max(need, len(self._rows) * 5 // 4), rows.shape[1]), refcheck=False)
        self._rows[self._filled : need] = rows
        self._filled = need

    def finish(self) -> np.ndarray[Any, Any]:
        """Return all vectors as float32 of shape `(inputs, dimensions)`, or `(0, 0)` without inputs."""
        rows, self._rows = self._rows, self._numpy.empty((0, 0), dtype=self._numpy.float32)
        rows.resize((self._filled, rows.shape[1]), refcheck=False)
        return rows


def has_numpy() -> bool:
    """Return whether numpy is installed."""
    return find_spec("numpy") is not None


def numpy_or_refuse() -> Any:
    """Return the module numpy.

    Raises:
        XinferenceUnsupportedError: It is not installed.
    """
    try:
        import numpy as np
    except ImportError:
        msg = "An array of vectors needs numpy: pip install numpy"
        raise XinferenceUnsupportedError(msg) from None
    return np
