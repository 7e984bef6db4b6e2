"""The handle of a model that generates, edits or reads images."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from xinference_bridge.client.flow import Flow
from xinference_bridge.client.transport.call import Budget
from xinference_bridge.client.uploads import FileLike, LocalFile, local_file
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.models.base import ModelHandle, naming_request
from xinference_bridge.protocol.http import Request
from xinference_bridge.protocol.image import (
    Change,
    GeneratedImage,
    ImageCall,
    Size,
    change_request,
    generation_request,
    image_type,
    images_from_response,
)
from xinference_bridge.protocol.media_fields import checked_text
from xinference_bridge.protocol.multipart import FilePart
from xinference_bridge.protocol.ocr import document_type, ocr_from_response, ocr_request


class ImageHandle(ModelHandle):
    """One running image model."""

    __slots__ = ()

    def generate(
        self,
        prompt: str,
        *,
        n: int = 1,
        size: Size | None = None,
        negative_prompt: str | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
        **parameters: Any,
    ) -> list[GeneratedImage]:
        """Generate images from a prompt.

        Args:
            prompt: What the images should show.
            n: The number of images.
            size: Width and height in pixels: "512x512" or (512, 512). None: the server's default.
            negative_prompt: What the images must not show.
            options: Options that override the connection's settings.
            **parameters: Further parameters of the model: `num_inference_steps`, `guidance_scale`, `seed`, …

        Returns:
            `n` images.

        Raises:
            XinferenceConfigurationError: An argument is invalid.
            XinferenceModelTypeError: The model does not generate images.
            XinferenceError: The call failed for another reason.
        """
        call = ImageCall(checked_text(prompt, "prompt"), negative_prompt, n, size, parameters)
        return self._run(options, lambda found, budget: found.generation_flow(call, budget))

    async def agenerate(
        self,
        prompt: str,
        *,
        n: int = 1,
        size: Size | None = None,
        negative_prompt: str | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
        **parameters: Any,
    ) -> list[GeneratedImage]:
        """Async version of `generate`."""
        call = ImageCall(checked_text(prompt, "prompt"), negative_prompt, n, size, parameters)
        return await self._arun(options, lambda found, budget: found.generation_flow(call, budget))

    def edit(
        self,
        image: FileLike | Sequence[FileLike],
        prompt: str,
        *,
        mask: FileLike | None = None,
        n: int = 1,
        size: Size | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> list[GeneratedImage]:
        """Edit an image as a prompt describes.

        Args:
            image: A path, bytes, a file object or a data URL. If there are several images, the first is edited and the
                others are references.
            prompt: What to change.
            mask: An image that is white where the edited image may change; for models that inpaint.
            n: The number of images.
            size: Width and height in pixels. None: the size of the image.
            options: Options that override the connection's settings.

        Returns:
            `n` images.

        Raises:
            XinferenceConfigurationError: A file is not an image, or an argument is invalid.
            XinferenceModelTypeError: The model does not edit images.
            XinferenceError: The call failed for another reason.
        """
        call = ImageCall(checked_text(prompt, "prompt"), None, n, size)
        return self._change("edits", call, _edited(image, mask), options)

    async def aedit(
        self,
        image: FileLike | Sequence[FileLike],
        prompt: str,
        *,
        mask: FileLike | None = None,
        n: int = 1,
        size: Size | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> list[GeneratedImage]:
        """Async version of `edit`."""
        call = ImageCall(checked_text(prompt, "prompt"), None, n, size)
        return await self._achange("edits", call, await asyncio.to_thread(_edited, image, mask), options)

    def inpaint(
        self,
        image: FileLike,
        mask: FileLike,
        prompt: str,
        *,
        n: int = 1,
        size: Size | None = None,
        negative_prompt: str | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
        **parameters: Any,
    ) -> list[GeneratedImage]:
        """Return an image with its masked part repainted.

        Args:
            image: A path, bytes, a file object or a data URL.
            mask: An image of the same size, white where the image is repainted.
            prompt: What to paint there.
            n: The number of images.
            size: Width and height in pixels. None: the size of the image.
            negative_prompt: What must not be painted.
            options: Options that override the connection's settings.
            **parameters: Further parameters of the model.

        Returns:
            `n` images.

        Raises:
            XinferenceConfigurationError: A file is not an image, or an argument is invalid.
            XinferenceModelTypeError: The model does not inpaint.
            XinferenceError: The call failed for another reason.
        """
        call = ImageCall(checked_text(prompt, "prompt"), negative_prompt, n, size, parameters)
        return self._change("inpainting", call, _inpainted(image, mask), options)

    async def ainpaint(
        self,
        image: FileLike,
        mask: FileLike,
        prompt: str,
        *,
        n: int = 1,
        size: Size | None = None,
        negative_prompt: str | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
        **parameters: Any,
    ) -> list[GeneratedImage]:
        """Async version of `inpaint`."""
        call = ImageCall(checked_text(prompt, "prompt"), negative_prompt, n, size, parameters)
        return await self._achange("inpainting", call, await asyncio.to_thread(_inpainted, image, mask), options)

    def vary(
        self,
        image: FileLike | Sequence[FileLike],
        *,
        prompt: str | None = None,
        n: int = 1,
        size: Size | None = None,
        negative_prompt: str | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
        **parameters: Any,
    ) -> list[GeneratedImage]:
        """Return variations of an image.

        Args:
            image: A path, bytes, a file object or a data URL; a list of them for models that accept several.
            prompt: What the variations should show.
            n: The number of images.
            size: Width and height in pixels. None: the size of the image.
            negative_prompt: What the variations must not show.
            options: Options that override the connection's settings.
            **parameters: Further parameters of the model: `strength`, `guidance_scale`, …

        Returns:
            `n` images.

        Raises:
            XinferenceConfigurationError: A file is not an image, or an argument is invalid.
            XinferenceModelTypeError: The model does not accept images.
            XinferenceError: The call failed for another reason.
        """
        call = ImageCall(prompt, negative_prompt, n, size, parameters)
        return self._change("variations", call, _edited(image, None), options)

    async def avary(
        self,
        image: FileLike | Sequence[FileLike],
        *,
        prompt: str | None = None,
        n: int = 1,
        size: Size | None = None,
        negative_prompt: str | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
        **parameters: Any,
    ) -> list[GeneratedImage]:
        """Async version of `vary`."""
        call = ImageCall(prompt, negative_prompt, n, size, parameters)
        return await self._achange("variations", call, await asyncio.to_thread(_edited, image, None), options)

    def ocr(
        self,
        document: FileLike,
        *,
        prompt: str | None = None,
        pages: int | Sequence[int] | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
        **parameters: Any,
    ) -> str:
        """Return the text of an image or a PDF.

        Args:
            document: A path, bytes, a file object or a data URL.
            prompt: An instruction to the model, such as "Only the table".
            pages: The pages of a PDF to read, counted from 1. None: all pages.
            options: Options that override the connection's settings.
            **parameters: Further parameters of the model; `dpi` for PDFs.

        Returns:
            The text, in Markdown if the model writes it. An empty line separates the pages of a PDF.

        Raises:
            XinferenceConfigurationError: The file is not an image or a PDF, or an argument is invalid.
            XinferenceModelTypeError: The model does not read images.
            XinferenceBadRequestError: The server cannot decode the file, or a page does not exist.
            XinferenceError: The call failed for another reason.
        """
        file = local_file(document, "the document")
        return self._run(options, lambda found, budget: found.ocr_flow(file, prompt, pages, parameters, budget))

    async def aocr(
        self,
        document: FileLike,
        *,
        prompt: str | None = None,
        pages: int | Sequence[int] | None = None,
        options: CallOptions = DEFAULT_OPTIONS,
        **parameters: Any,
    ) -> str:
        """Async version of `ocr`."""
        file = await asyncio.to_thread(local_file, document, "the document")
        return await self._arun(options, lambda found, budget: found.ocr_flow(file, prompt, pages, parameters, budget))

    def generation_flow(self, call: ImageCall, budget: Budget) -> Flow[list[GeneratedImage]]:
        """Return the flow of `generate`."""
        return (yield from self._images(generation_request(self.uid, call), budget))

    def change_flow(
        self, change: Change, call: ImageCall, files: Sequence[FilePart], budget: Budget
    ) -> Flow[list[GeneratedImage]]:
        """Return the flow of `edit`, `inpaint` and `vary`."""
        return (yield from self._images(change_request(self.uid, change, call, files), budget))

    def ocr_flow(
        self,
        file: LocalFile,
        prompt: str | None,
        pages: int | Sequence[int] | None,
        parameters: Mapping[str, Any],
        budget: Budget,
    ) -> Flow[str]:
        """Return the flow of `ocr`."""
        media_type = document_type(file.head, "the document")
        request = ocr_request(self.uid, file, file.name, media_type, prompt=prompt, pages=pages, more=parameters)
        response = yield from self._send_media(request, budget)
        with naming_request(response, self.uid):
            return ocr_from_response(response)

    def _images(self, request: Request, budget: Budget) -> Flow[list[GeneratedImage]]:
        response = yield from self._send_media(request, budget)
        with naming_request(response, self.uid):
            return images_from_response(response)

    def _change(
        self, change: Change, call: ImageCall, files: Sequence[FilePart], options: CallOptions
    ) -> list[GeneratedImage]:
        return self._run(options, lambda found, budget: found.change_flow(change, call, files, budget))

    async def _achange(
        self, change: Change, call: ImageCall, files: Sequence[FilePart], options: CallOptions
    ) -> list[GeneratedImage]:
        return await self._arun(options, lambda found, budget: found.change_flow(change, call, files, budget))


def _edited(image: FileLike | Sequence[FileLike], mask: FileLike | None) -> list[FilePart]:
    several = isinstance(image, (list, tuple))
    images = list(image) if several else [image]  # type: ignore[arg-type] # a single image
    if not images:
        raise XinferenceConfigurationError("the list of images is empty")
    parts = [_part("image", one, f"image {place}" if several else "the image") for place, one in enumerate(images)]
    return parts if mask is None else [*parts, _part("mask", mask, "the mask")]


def _inpainted(image: FileLike, mask: FileLike) -> list[FilePart]:
    return [_part("image", image, "the image"), _part("mask_image", mask, "the mask")]


def _part(name: str, image: Any, what: str) -> FilePart:
    file = local_file(image, what)
    kind = image_type(file.head, what)
    return FilePart(name, file, file.name or f"{name}.{kind.rpartition('/')[2]}", kind)
