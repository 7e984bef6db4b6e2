"""`POST /v1/images/generations`, `/edits`, `/inpainting`, `/variations`: arguments → request, answer → images. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.protocol.http import JSON, Ability, Request, Response
from xinference_bridge.protocol.media import media_type_of
from xinference_bridge.protocol.media_fields import as_kwargs, checked_count, checked_text
from xinference_bridge.protocol.multipart import FilePart, Form
from xinference_bridge.protocol.shape_errors import json_answer, unexpected_answer

#: Width and height in pixels: "512x512", "512*512" or (512, 512).
Size = str | tuple[int, int]
Change = Literal["edits", "inpainting", "variations"]

_SIZE = re.compile(r"\s*(-?\d+)\s*[x*\u00d7]\s*(-?\d+)\s*", re.IGNORECASE)
_ABILITIES: dict[Change, Ability] = {"edits": "edit_image", "inpainting": "inpaint", "variations": "edit_image"}
#: `response_format` is always sent. Without it, 4.1.0 answers with the path of a file on the server's disk.
_FORMAT = "b64_json"


@dataclass(frozen=True, slots=True)
class GeneratedImage:
    """One generated image: the bytes of its file and their media type, such as `image/jpeg`."""

    data: bytes
    mime_type: str

    @property
    def base64(self) -> str:
        """The image file in base64."""
        return base64.b64encode(self.data).decode()

    @property
    def data_url(self) -> str:
        """The image as a data URL, for a chat message."""
        return f"data:{self.mime_type};base64,{self.base64}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Return what Jupyter shows."""
        return {self.mime_type: self.base64}


@dataclass(frozen=True, slots=True)
class ImageCall:
    """The checked arguments of an image request. None means the server's default.

    Raises:
        XinferenceConfigurationError: An argument is invalid.
    """

    prompt: str | None = None
    negative_prompt: str | None = None
    n: int = 1
    size: Size | None = None
    more: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name in ("prompt", "negative_prompt"):
            if (text := getattr(self, name)) is not None:
                checked_text(text, name)
        checked_count(self.n, "n")
        if self.size is not None:
            wire_size(self.size)

    def fields(self) -> JSON:
        """Return the fields that every endpoint accepts."""
        fields: JSON = {"n": self.n, "response_format": _FORMAT}
        if self.prompt is not None:
            fields["prompt"] = self.prompt
        if self.size is not None:
            fields["size"] = wire_size(self.size)
        return fields


def wire_size(size: Any) -> str:
    """Return a size in the server's form: "512*512".

    Raises:
        XinferenceConfigurationError: The size is invalid or not positive.
    """
    if isinstance(size, str) and (found := _SIZE.fullmatch(size)):
        width, height = int(found[1]), int(found[2])
    elif isinstance(size, (tuple, list)) and len(size) == 2 and all(type(side) is int for side in size):
        width, height = size
    else:
        raise XinferenceConfigurationError(f"size must be such as '512x512' or (512, 512), got {size!r:.60}")
    if width < 1 or height < 1:
        raise XinferenceConfigurationError(f"size must be positive, got {width}x{height}")
    return f"{width}*{height}"


def generation_request(uid: str, call: ImageCall) -> Request:
    """Return the request that generates images from a prompt."""
    body: JSON = {"model": uid, **call.fields()}
    more = dict(call.more or {})
    if call.negative_prompt is not None:
        more["negative_prompt"] = call.negative_prompt
    if more:
        body["kwargs"] = as_kwargs(more)
    return Request("POST", "/v1/images/generations", body, model_uid=uid, ability="generate_image")


def change_request(uid: str, change: Change, call: ImageCall, files: Sequence[FilePart]) -> Request:
    """Return the request that makes images from other images.

    Raises:
        XinferenceConfigurationError: The endpoint does not accept a parameter. `/edits` of 4.1.0 accepts only prompt,
            n, size and mask, and silently ignores the others.
    """
    fields = {"model": uid, **call.fields()}
    if change == "edits":
        ignored = [*(call.more or {}), *(["negative_prompt"] if call.negative_prompt is not None else [])]
        if ignored:
            msg = f"edit() does not take {', '.join(map(repr, ignored))}: vary() with a prompt, and inpaint(), do"
            raise XinferenceConfigurationError(msg)
    elif call.negative_prompt is not None:
        fields["negative_prompt"] = call.negative_prompt
    if call.more:
        fields["kwargs"] = as_kwargs(call.more)
    form = Form(tuple((name, str(value)) for name, value in fields.items()), tuple(files))
    ability = "inpaint" if any(file.name == "mask" for file in files) else _ABILITIES[change]
    return Request("POST", f"/v1/images/{change}", model_uid=uid, ability=ability, form=form)


def image_type(head: bytes, what: str) -> str:
    """Return the media type of an image by its first bytes.

    Raises:
        XinferenceConfigurationError: It is another kind of file.
    """
    kind = media_type_of(head)
    if kind is None or not kind.startswith("image/"):
        found = f"a file of type {kind}" if kind else f"a file that begins with {head[:16]!r}"
        raise XinferenceConfigurationError(f"{what} must be an image, got {found}")
    return kind


def images_from_response(response: Response) -> list[GeneratedImage]:
    """Return the images in a response.

    Raises:
        XinferenceProtocolError: The response has no images, or they are not base64.
    """
    entries = json_answer(response).get("data")
    if not isinstance(entries, list) or not entries:
        raise unexpected_answer(response, "a list of images under 'data'")
    return [_image(entry, response) for entry in entries]


def _image(entry: Any, response: Response) -> GeneratedImage:
    text = entry.get("b64_json") if isinstance(entry, dict) else None
    if not isinstance(text, str) or not text:
        raise unexpected_answer(response, "'b64_json' in each image")
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise unexpected_answer(response, "base64 in 'b64_json'") from None
    return GeneratedImage(data, media_type_of(data) or "application/octet-stream")
