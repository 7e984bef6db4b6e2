"""A random Qwen2-VL that takes pictures in a chat and babbles; `python -m lab.makers.vision_chat FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lab.makers.files import byte_tokenizer, package_folder

_VISION = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")


def write(folder: Path) -> None:
    """Write the model and its processor, with the template of the built-in family qwen2-vl-instruct."""
    import torch
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    torch.manual_seed(0)
    tokenizer = byte_tokenizer(*_VISION)
    tokenizer.chat_template = template = chat_template()
    start, _, _, image, video = (tokenizer.convert_tokens_to_ids(token) for token in _VISION)
    end = tokenizer.eos_token_id
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 128,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0},
        "bos_token_id": None,
        "eos_token_id": end,
        "pad_token_id": end,
    }
    vision = {
        "depth": 2,
        "embed_dim": 32,
        "hidden_size": 64,
        "num_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "in_channels": 3,
    }
    config = Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=tokenizer.convert_tokens_to_ids(_VISION[1]),
    )
    model = Qwen2VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = end
    model.save_pretrained(folder)
    Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=56 * 56 * 4),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=template,
    ).save_pretrained(folder)


def chat_template() -> str:
    """Return the template as the server ships it."""
    family = package_folder("xinference") / "model" / "llm" / "models" / "qwen2-vl-instruct.json"
    content = json.loads(family.read_text(encoding="utf-8"))
    return str((content[0] if isinstance(content, list) else content)["chat_template"])


if __name__ == "__main__":
    write(Path(sys.argv[1]))
