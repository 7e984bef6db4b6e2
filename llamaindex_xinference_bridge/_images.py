"""The images of nodes."""

from __future__ import annotations

import base64
import binascii

from llama_index.core.schema import BaseNode, ImageNode, MediaResource, Node

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.integration.image_input import ImageLike


def image_of(node: BaseNode) -> ImageLike | None:
    """Return a node's image; None for a text node.

    Raises:
        XinferenceConfigurationError: An image node has no image and no text, or its image is not base64.
    """
    if isinstance(node, ImageNode):
        if node.image is not None:
            return _decoded(node.image, node)
        image = node.image_path if node.image_path is not None else node.image_url
        if image is None and not node.text.strip():
            msg = f"the image node {node.node_id} has neither an image nor text"
            raise XinferenceConfigurationError(msg)
        return image
    resource: MediaResource | None = node.image_resource if isinstance(node, Node) else None
    if resource is None:
        return None
    if resource.data is not None:
        return _decoded(resource.data, node)
    if resource.path is not None:
        return resource.path
    return None if resource.url is None else str(resource.url)


def _decoded(image: str | bytes, node: BaseNode) -> bytes:
    try:
        return base64.b64decode(image, validate=True)
    except binascii.Error as broken:
        msg = f"the image of node {node.node_id} is not valid base64: {broken}"
        raise XinferenceConfigurationError(msg) from None
