"""`XinferenceImages`: image generation for LangChain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages.content import ImageContentBlock, create_image_block
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from pydantic import Field, SecretStr
from typing_extensions import Unpack, override

from langchain_xinference_bridge._base import XinferenceFields
from langchain_xinference_bridge._constructor_kwargs import ImagesSettings
from langchain_xinference_bridge._media import call_settings, text_of
from langchain_xinference_bridge.errors import translated_errors
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.models.image import ImageHandle
from xinference_bridge.protocol.image import GeneratedImage

_FIELDS = ("n", "size", "negative_prompt")
_OF_INPUT = frozenset({"prompt", "image", "mask"})


class XinferenceImages(XinferenceFields, RunnableSerializable[Any, list[ImageContentBlock]]):
    """An image model on a Xinference server, which generates, edits and inpaints images.

    It returns LangChain's standard image blocks in base64, for use in `HumanMessage(content=blocks)`.

    Raises:
        XinferenceConfigurationError: `model_uid` is missing, or a setting is misspelled or invalid.

    Examples:
        >>> images = XinferenceImages(model="tiny-sd", size="64x64")
        >>> images.size
        '64x64'
    """

    n: int = Field(default=1, ge=1)
    """Number of images."""
    size: str | tuple[int, int] | None = None
    """Width and height in pixels: "512x512" or (512, 512). None: the server's default."""
    negative_prompt: str | None = None
    """What the images must not show."""

    def __init__(
        self,
        server_url: str | None = None,
        model_uid: str | None = None,
        api_key: SecretStr | str | None = None,
        **settings: Unpack[ImagesSettings],
    ) -> None:
        super().__init__(server_url, model_uid, api_key, **settings)

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> list[ImageContentBlock]:
        """Return images generated from a prompt, or edited from another image.

        Args:
            input: A string, a message or a prompt; or `{"prompt": …, "image": …, "mask": …}`, which edits the image,
                or inpaints it if there is a mask. Images are paths, bytes, file objects, data URLs or image blocks.
            config: LangChain's settings of the run.
            **kwargs: `n`, `size`, `negative_prompt`, `model_kwargs`, and `timeout`, `deadline`, `max_retries` of this
                call.

        Returns:
            `n` image blocks.

        Raises:
            XinferenceConfigurationError: The prompt is empty, a file is not an image, or an argument is invalid.
            XinferenceModelTypeError: The model cannot do this.
            XinferenceError: The request failed.

        Examples:
            >>> images = XinferenceImages(model="tiny-sd")
            >>> images.invoke("a cat", size="-64x64")  # doctest: +IGNORE_EXCEPTION_DETAIL
            Traceback (most recent call last):
            XinferenceConfigurationError: size must be positive, got -64x64
        """

        def make(value: Any) -> list[ImageContentBlock]:
            with translated_errors:
                handle, (prompt, image, mask), asked = self._asked(value, kwargs)
                if image is None:
                    return _blocks(handle.generate(prompt, **asked))
                if mask is not None:
                    return _blocks(handle.inpaint(image, mask, prompt, **asked))
                return _blocks(handle.edit(image, prompt, **_of_edit(asked)))

        return self._call_with_config(make, input, config)

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> list[ImageContentBlock]:
        """Async version of `invoke`.

        Examples:
            >>> import asyncio
            >>> images = XinferenceImages(model="tiny-sd")
            >>> asyncio.run(images.ainvoke("a cat", size="-64x64"))  # doctest: +IGNORE_EXCEPTION_DETAIL
            Traceback (most recent call last):
            XinferenceConfigurationError: size must be positive, got -64x64
        """

        async def make(value: Any) -> list[ImageContentBlock]:
            with translated_errors:
                handle, (prompt, image, mask), asked = self._asked(value, kwargs)
                if image is None:
                    return _blocks(await handle.agenerate(prompt, **asked))
                if mask is not None:
                    return _blocks(await handle.ainpaint(image, mask, prompt, **asked))
                return _blocks(await handle.aedit(image, prompt, **_of_edit(asked)))

        return await self._acall_with_config(make, input, config)

    def _asked(self, value: Any, keywords: dict[str, Any]) -> tuple[ImageHandle, tuple[str, Any, Any], dict[str, Any]]:
        fields = {name: getattr(self, name) for name in _FIELDS}
        asked, more, options = call_settings(fields, self.model_kwargs, keywords, "XinferenceImages")
        return self._handle(ImageHandle), _prompted(value), {**more, **asked, "options": options}


def _prompted(value: Any) -> tuple[str, Any, Any]:
    """Return prompt, image and mask."""
    if not isinstance(value, Mapping):
        return text_of(value, "the prompt"), None, None
    if "prompt" not in value or not set(value) <= _OF_INPUT:
        msg = f'the input must be {{"prompt": …, "image": …, "mask": …}}, got the keys {sorted(map(str, value))}'
        raise XinferenceConfigurationError(msg)
    image, mask = _file(value.get("image")), _file(value.get("mask"))
    if mask is not None and image is None:
        raise XinferenceConfigurationError("the input has a mask and no image")
    return text_of(value["prompt"], "the prompt"), image, mask


def _file(image: Any) -> Any:
    """Return an image in a form that the core accepts: the bytes of an image block, anything else unchanged."""
    if isinstance(image, (list, tuple)):
        return [_file(one) for one in image]
    if isinstance(image, Mapping):
        if image.get("type") == "image" and image.get("base64"):
            return f"data:{image.get('mime_type', '')};base64,{image['base64']}"
        if image.get("type") == "image" and image.get("url"):
            return image["url"]
        msg = f"an image block has 'base64' or 'url', got the keys {sorted(map(str, image))}"
        raise XinferenceConfigurationError(msg)
    return image


def _of_edit(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `edit`, which accepts neither a negative prompt nor model parameters (4.1.0)."""
    taken = ("n", "size", "options")
    refused = sorted(name for name, value in asked.items() if name not in taken and value is not None)
    if refused:
        msg = f"an image is edited without {', '.join(refused)}, which the server would ignore; give a mask to inpaint"
        raise XinferenceConfigurationError(msg)
    return {name: asked[name] for name in taken}


def _blocks(images: list[GeneratedImage]) -> list[ImageContentBlock]:
    return [create_image_block(base64=image.base64, mime_type=image.mime_type) for image in images]
