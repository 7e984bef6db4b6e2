"""Convert an image (a path, bytes, a data URL) to the object that the server embeds or ranks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.integration.media_files import path_of_file_url, read_file
from xinference_bridge.models.batching import refuse_one
from xinference_bridge.protocol.media import checked_data_url, data_url_of

#: Images per request: data URLs are large, and a model handles images one by one.
IMAGES_A_REQUEST = 8

#: An image: a reference or its bytes.
ImageLike = str | bytes | os.PathLike[str]


def image_input(image: ImageLike, place: int | None = None, *, what: str = "the image") -> dict[str, str]:
    """Return `{"image": "data:image/…;base64,…"}`. An http(s) URL stays unchanged, for the server to download.

    Args:
        image: A path, a `file://` URL, a data URL, an http(s) URL, or the bytes of a file.
        place: Its index among the inputs of the call, for errors.
        what: A description for errors, if it has no index.

    Raises:
        XinferenceConfigurationError: It cannot be read, is empty, is larger than 64 MiB, or is not an image file.
    """
    what = what if place is None else f"image {place}"
    if isinstance(image, (bytes, bytearray, memoryview)):
        return {"image": data_url_of(bytes(image), "image", what)}
    if isinstance(image, str):
        if image.startswith("data:"):
            return {"image": checked_data_url(image, "image", what)}
        if image.startswith(("http://", "https://")):
            return {"image": image}
        if image.startswith("file://"):
            image = path_of_file_url(image, what)
    elif not isinstance(image, os.PathLike):
        msg = f"{what} must be a path, bytes or a data URL, got {type(image).__name__}"
        raise XinferenceConfigurationError(msg)
    return {"image": data_url_of(read_file(image, what), "image", what)}


def image_batches(images: Iterable[Any]) -> Iterator[tuple[int, list[dict[str, str]]]]:
    """Yield the images of each request as `image_input` gives them, with the place of its first one in the call.

    Raises:
        XinferenceConfigurationError: It is no list, or one of them is no image; the message names its place.
    """
    refuse_one(images, "images", "paths, URLs or bytes")
    held: list[dict[str, str]] = []
    place = -1
    for place, image in enumerate(images):
        held.append(image_input(image, place))
        if len(held) == IMAGES_A_REQUEST:
            yield place + 1 - len(held), held
            held = []
    if held:
        yield place + 1 - len(held), held


def ranked_item(item: Mapping[str, Any], what: str) -> dict[str, str]:
    """Return `{"text": …}`, `{"image": …}` or `{"video": …}` for the server to rank, an image as a data URL.

    Raises:
        XinferenceConfigurationError: It has another key, no key, or an invalid value.
    """
    if not item or not set(item) <= {"text", "image", "video"}:
        msg = f'{what} must be {{"text": …}}, {{"image": …}} or {{"video": …}}, got the keys {sorted(map(str, item))}'
        raise XinferenceConfigurationError(msg)
    own: dict[str, str] = {}
    for kind, value in item.items():
        if kind == "image":
            own |= image_input(value, what=f"the image of {what}")
        elif isinstance(value, str):
            own[kind] = value
        else:
            msg = f"the {kind} of {what} must be a string, got {type(value).__name__}"
            raise XinferenceConfigurationError(msg)
    return own
