"""A random Stable Diffusion that draws noise within seconds; `python -m lab.makers.images FOLDER`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from lab.makers.files import clip_tokenizer


def write(folder: Path) -> None:
    """Write the pipeline's parts."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    network = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=2,
        norm_num_groups=2,
    )
    pictures = AutoencoderKL(
        block_out_channels=[32, 64],
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        norm_num_groups=2,
    )
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer, tokens = clip_tokenizer(Path(scratch))
        start, end = tokens - 2, tokens - 1
        text = CLIPTextConfig(
            vocab_size=tokens,
            hidden_size=32,
            intermediate_size=37,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=77,
            bos_token_id=start,
            eos_token_id=end,
            pad_token_id=end,
        )
        StableDiffusionPipeline(
            vae=pictures,
            text_encoder=CLIPTextModel(text),
            tokenizer=tokenizer,
            unet=network,
            scheduler=DDIMScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                clip_sample=False,
                set_alpha_to_one=False,
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
