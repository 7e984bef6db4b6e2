"""Behind the built-in jina-reranker-m0, which loads its code from the model's folder."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel

from .words import likeness, words


class ToyConfig(PretrainedConfig):
    """No settings."""

    model_type = "toy_m0"


class JinaVLForRanking(PreTrainedModel):
    """What the server calls; the one weight is there because a model has some."""

    config_class = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.score = torch.nn.Linear(1, 1)
        self.post_init()

    def _init_weights(self, module: Any) -> None:
        pass

    def compute_score(self, pairs: Any, query_type: str = "text", doc_type: str = "text", **_: Any) -> Any:
        """Return one score a pair, or the score of the only one."""
        if isinstance(pairs[0], str):
            pairs = [pairs]
        scores = [likeness(_words(query, query_type), _words(document, doc_type)) for query, document in pairs]
        return scores[0] if len(scores) == 1 else scores


def _words(item: Any, kind: str) -> set[str]:
    return set(words(item if isinstance(item, dict) else {kind: item}))
