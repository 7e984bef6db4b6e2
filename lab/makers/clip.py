"""A random CLIP as a sentence-transformers folder: 64 dimensions; `python -m lab.makers.clip FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from lab.makers.files import clip_tokenizer, write_json

DIMENSIONS = 64
_SIDE = 32


def write(folder: Path) -> None:
    """Write the model. The server takes a family for a CLIP when its name contains "clip"."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    torch.manual_seed(0)
    tokenizer, tokens = clip_tokenizer(folder)
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": DIMENSIONS,
    }
    start, end = tokens - 2, tokens - 1
    text = shape | {"vocab_size": tokens, "max_position_embeddings": 77}
    text |= {"bos_token_id": start, "eos_token_id": end, "pad_token_id": end}
    vision = shape | {"image_size": _SIDE, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=DIMENSIONS)
    CLIPModel(config).save_pretrained(folder)
    square = {"height": _SIDE, "width": _SIDE}
    pictures = CLIPImageProcessor(size={"shortest_edge": _SIDE}, crop_size=square)
    CLIPProcessor(image_processor=pictures, tokenizer=tokenizer).save_pretrained(folder)
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.CLIPModel"}]
    write_json(folder / "modules.json", modules)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
