"""`XinferenceMultiModalEmbedding`: the embedding model for texts and images in LlamaIndex."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from io import BytesIO
from typing import Any

from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.callbacks.base import EventContext
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.embeddings.multi_modal_base import MultiModalEmbedding
from llama_index.core.schema import ImageType

from llamaindex_xinference_bridge._embedding_reports import Progress
from llamaindex_xinference_bridge.embedding import XinferenceEmbedding
from xinference_bridge.integration.image_input import image_batches
from xinference_bridge.models.embedding import EmbeddingHandle, SameDimensions


class XinferenceMultiModalEmbedding(XinferenceEmbedding, MultiModalEmbedding):
    """An embedding model for texts and images on a Xinference server, such as CLIP or Qwen3-VL-Embedding.

    ```python
    model = XinferenceMultiModalEmbedding(model_uid="jina-clip-v2", connection=conn)  # or base_url=, api_key=
    ```

    Pass it to `MultiModalVectorStoreIndex` as `embed_model` and `image_embed_model`.

    An image is a path, a `file://`, data or http(s) URL, or a `BytesIO`. Files are read locally and sent as data URLs.
    """

    @classmethod
    def class_name(cls) -> str:
        """Return the class name for serialized objects and traces.

        Returns:
            The name of this class.
        """
        return "XinferenceMultiModalEmbedding"

    def _get_image_embedding(self, img_file_path: ImageType) -> Embedding:
        _, images = next(image_batches(_readable([img_file_path])))
        return self._embed_images(images, 0, self._same())[0]

    async def _aget_image_embedding(self, img_file_path: ImageType) -> Embedding:
        _, images = next(image_batches(_readable([img_file_path])))
        return (await self._aembed_images(images, 0, self._same()))[0]

    def _embed_images(self, images: list[dict[str, str]], start: int, same: SameDimensions) -> list[Embedding]:
        answer = self._handle(EmbeddingHandle).embed_images(images, self._parameters(), start=start)
        return same.checked(answer.vectors, start)

    async def _aembed_images(self, images: list[dict[str, str]], start: int, same: SameDimensions) -> list[Embedding]:
        answer = await self._handle(EmbeddingHandle).aembed_images(images, self._parameters(), start=start)
        return same.checked(answer.vectors, start)

    # llama-index-core's loops do not accept generators, and identify an image by its position in a batch.

    def get_image_embedding_batch(
        self, img_file_paths: Iterable[ImageType], show_progress: bool = False
    ) -> list[Embedding]:
        """Return one vector per image, in input order.

        Args:
            img_file_paths: Paths, URLs or binary streams, in a list or any other iterable.
            show_progress: Whether to show a progress bar; needs tqdm.

        Returns:
            One list of `dimensions` floats per image.

        Raises:
            XinferenceConfigurationError: An input is not an image; the message has its position.
            XinferenceModelTypeError: The model cannot embed images.
        """
        same, vectors = self._same(), list[Embedding]()
        progress = Progress(img_file_paths, show_progress)
        for start, images in image_batches(_readable(img_file_paths)):
            with self._reported() as event:
                answer = self._embed_images(images, start, same)
                event.on_end({EventPayload.CHUNKS: images, EventPayload.EMBEDDINGS: answer})
            progress.done(len(images))
            vectors += answer
        progress.close()
        return vectors

    async def aget_image_embedding_batch(
        self, img_file_paths: Iterable[ImageType], show_progress: bool = False
    ) -> list[Embedding]:
        """Async version of `get_image_embedding_batch`."""
        same, vectors = self._same(), list[Embedding]()
        progress = Progress(img_file_paths, show_progress)
        for start, images in image_batches(_readable(img_file_paths)):
            with self._reported() as event:
                answer = await self._aembed_images(images, start, same)
                event.on_end({EventPayload.CHUNKS: images, EventPayload.EMBEDDINGS: answer})
            progress.done(len(images))
            vectors += answer
        progress.close()
        return vectors

    def _reported(self) -> AbstractContextManager[EventContext]:
        return self.callback_manager.event(CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: self.to_payload()})


def _readable(images: Iterable[ImageType]) -> Iterable[Any]:
    """Return the bytes of binary streams, which LlamaIndex's image nodes provide, and anything else unchanged."""
    if isinstance(images, (str, bytes)) or not isinstance(images, Iterable):
        return images
    return (image.getvalue() if isinstance(image, BytesIO) else image for image in images)
