"""Behind the built-in Qwen3-VL-Reranker-2B: the class that the server looks for in `scripts/`."""

from __future__ import annotations

from typing import Any

from .words import likeness, words


class Qwen3VLReranker:
    """What the server calls. An instruction's words count as the query's, so that its effect can be seen."""

    def __init__(self, model_name_or_path: str, **kwargs: Any) -> None:
        self.kwargs = kwargs

    def process(self, inputs: dict[str, Any]) -> list[float]:
        """Return one score a document."""
        query = set(words(inputs["query"])) | set(words(inputs.get("instruction") or ""))
        return [likeness(query, set(words(document))) for document in inputs["documents"]]
