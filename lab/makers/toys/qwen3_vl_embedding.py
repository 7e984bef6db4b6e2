"""Behind the built-in Qwen3-VL-Embedding-2B: the class that the server looks for in `scripts/`."""

from __future__ import annotations

from typing import Any

from .words import vector

DIMENSIONS = 2048


class Qwen3VLEmbedder:
    """What the server calls."""

    def __init__(self, model_name_or_path: str, **kwargs: Any) -> None:
        self.kwargs = kwargs

    def process(self, inputs: list[Any], normalize: bool = True) -> Any:
        """Return one vector an input."""
        import torch

        vectors = torch.tensor([vector(item, DIMENSIONS) for item in inputs])
        return vectors if normalize else vectors * 2
