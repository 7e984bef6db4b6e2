"""What the writers of models share: packages' files, JSON, and a tokenizer for models whose words mean nothing."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any


def package_folder(name: str) -> Path:
    """Return an installed package's folder without importing it: what carries weights may need what is not here."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        msg = f"the package {name} is not installed in the lab's environment"
        raise SystemExit(msg)
    return Path(next(iter(spec.submodule_search_locations)))


def write_json(file: Path, content: Any) -> None:
    """Write JSON with its characters as they are."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def byte_tokenizer(*specials: str) -> Any:
    """Return a tokenizer of one token a byte, and special tokens after them; `<|im_end|>` ends an answer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=4096)
    ends = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    fast.add_special_tokens({**ends, "additional_special_tokens": ["<|im_start|>", *specials]})
    return fast


def clip_tokenizer(folder: Path) -> tuple[Any, int]:
    """Return a CLIP tokenizer without merges, and how many tokens it has; its files go into the folder."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    write_json(folder / "vocab.json", vocabulary)
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77), len(vocabulary)
