"""`XinferenceMultiModalEmbedding`: the embedding model for texts and images in LlamaIndex."""

from __future__ import annotations

from io import BytesIO

from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.embeddings.multi_modal_base import MultiModalEmbedding
from llama_index.core.schema import ImageType

from llamaindex_xinference_bridge.embedding import XinferenceEmbedding
from xinference_bridge.integration.image_input import image_input
from xinference_bridge.models.embedding import EmbeddingHandle


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
        return self._get_image_embeddings([img_file_path])[0]

    async def _aget_image_embedding(self, img_file_path: ImageType) -> Embedding:
        return (await self._aget_image_embeddings([img_file_path]))[0]

    def _get_image_embeddings(self, img_file_paths: list[ImageType]) -> list[Embedding]:
        images = [_input(image, place) for place, image in enumerate(img_file_paths)]
        answer = self._handle(EmbeddingHandle).embed_images(images, self._parameters())
        return self._same().checked(answer.vectors, 0)

    async def _aget_image_embeddings(self, img_file_paths: list[ImageType]) -> list[Embedding]:
        images = [_input(image, place) for place, image in enumerate(img_file_paths)]
        answer = await self._handle(EmbeddingHandle).aembed_images(images, self._parameters())
        return self._same().checked(answer.vectors, 0)


def _input(image: ImageType, place: int) -> dict[str, str]:
    return image_input(image.getvalue() if isinstance(image, BytesIO) else image, place)
