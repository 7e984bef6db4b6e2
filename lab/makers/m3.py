"""A random BGE-M3 with MiniLM's tokenizer: dense and sparse vectors; `python -m lab.makers.m3 FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from lab.encoders import minilm_files

WIDTH = 64


def write(folder: Path) -> None:
    """Write the model and the two heads that make it a BGE-M3."""
    import torch
    from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaModel

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(minilm_files())
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=514,
        pad_token_id=0,
        type_vocab_size=2,
    )
    XLMRobertaModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    torch.save(torch.nn.Linear(WIDTH, 1).state_dict(), folder / "sparse_linear.pt")
    torch.save(torch.nn.Linear(WIDTH, WIDTH).state_dict(), folder / "colbert_linear.pt")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
