"""Behind the built-in jina-ocr-v1, which loads its model from the folder's code: it writes out what it is handed."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel


class ToyOCRConfig(PretrainedConfig):
    """No settings."""

    model_type = "toy_ocr"


class ToyOCR(PreTrainedModel):
    """What the server calls; the one weight is there because a model has some."""

    config_class = ToyOCRConfig

    def __init__(self, config: ToyOCRConfig) -> None:
        super().__init__(config)
        self.score = torch.nn.Linear(1, 1)
        self.post_init()

    def _init_weights(self, module: Any) -> None:
        pass

    def generate(self, input_ids: Any, answer_ids: Any, max_new_tokens: int = 4096, **_: Any) -> Any:
        """Return the prompt's tokens and the answer's."""
        return torch.cat([input_ids, answer_ids[:, :max_new_tokens]], dim=1)
