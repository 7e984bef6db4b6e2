"""The processor of the toy behind jina-ocr-v1: it says a picture's main colour, its size and the prompt."""

from __future__ import annotations

from typing import Any

import torch
from transformers import ProcessorMixin

from .words import colour


class ToyOCRProcessor(ProcessorMixin):
    """What the server calls."""

    attributes: list[str] = []  # noqa: RUF012 - as transformers declares it

    def __init__(self, **_: Any) -> None:
        super().__init__()

    @classmethod
    def from_pretrained(cls, path: Any, **_: Any) -> ToyOCRProcessor:
        """Return one: there is nothing to read."""
        return cls()

    def prepare_ocr_inputs(self, image: Any, prompt: str, device: Any) -> dict[str, Any]:
        """Return the prompt and the answer, a token a byte."""
        answer = f"# A page\n\nSeen: {colour(image)}, {image.width}x{image.height}.\n\n> {prompt}"
        return {
            name: torch.tensor([list(text.encode())], device=device)
            for name, text in (("input_ids", prompt), ("answer_ids", answer))
        }

    def decode_ocr(self, output: Any, input_ids: Any) -> str:
        """Return what stands behind the prompt."""
        return bytes(output[0, input_ids.shape[1] :].tolist()).decode()
