"""What the default lab runs beside the tiny models: SmolLM2, and models of sound, pictures and documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab.families import SENTENCE_TRANSFORMERS, Launch

_SMOLLM2_CONTEXT = 4096
_SMOLLM2_SIZE = "0_135"
_SMOLLM2_SLOTS = 2
_SMOLLM2_LLAMA_CPP = {
    "model_engine": "llama.cpp",
    "model_format": "ggufv2",
    "quantization": "Q4_1",
    "model_size_in_billions": _SMOLLM2_SIZE,
    # Its 8192 tokens in each of 4 slots cost 750 MB of memory for keys and values.
    "n_parallel": _SMOLLM2_SLOTS,
    "n_ctx": _SMOLLM2_CONTEXT * _SMOLLM2_SLOTS,
    "n_threads": 1,
}
_SMOLLM2_TRANSFORMERS = {
    "model_engine": "transformers",
    "model_format": "pytorch",
    "quantization": "none",
    "model_size_in_billions": _SMOLLM2_SIZE,
}
_TINY_VL = _SMOLLM2_TRANSFORMERS | {"model_size_in_billions": "0_001"}

SMOLLM2_LAUNCHES = (
    Launch("smollm2", "smollm2", "LLM", _SMOLLM2_LLAMA_CPP, files="smollm2"),
    Launch("smollm2-tools", "smollm2-tools", "LLM", _SMOLLM2_LLAMA_CPP, files="smollm2"),
    Launch("smollm2-hf", "smollm2", "LLM", _SMOLLM2_TRANSFORMERS, files="smollm2"),
)

# Families that the server knows are launched by their own names, with the lab's files in place of the hub's.
MEDIA_LAUNCHES = (
    Launch("whisper", "lab-whisper-base", "audio", {"model_engine": "transformers"}, files="whisper", probe=None),
    Launch("kokoro", "Kokoro-82M", "audio", files="kokoro", by_path=True, probe=None),
    Launch("tiny-clip", "tiny-clip", "embedding", SENTENCE_TRANSFORMERS, files="tiny-clip"),
    Launch(
        "bge-m3",
        "bge-m3",
        "embedding",
        {"model_engine": "flag", "model_format": "pytorch", "quantization": "none", "return_sparse": True},
        files="tiny-m3",
        by_path=True,
    ),
    Launch(
        "qwen3-vl-embedding",
        "Qwen3-VL-Embedding-2B",
        "embedding",
        SENTENCE_TRANSFORMERS,
        files="qwen3-vl-embedding",
        by_path=True,
    ),
    Launch(
        "qwen3-vl-reranker",
        "Qwen3-VL-Reranker-2B",
        "rerank",
        SENTENCE_TRANSFORMERS,
        files="qwen3-vl-reranker",
        by_path=True,
    ),
    Launch(
        "jina-reranker-m0",
        "jina-reranker-m0",
        "rerank",
        SENTENCE_TRANSFORMERS,
        files="jina-reranker-m0",
        by_path=True,
    ),
    Launch("tiny-vl", "tiny-vl", "LLM", _TINY_VL, files="tiny-vl"),
    Launch("tiny-sd", "tiny-sd", "image", {"model_engine": "diffusers"}, files="tiny-sd", probe=None),
    Launch(
        "jina-ocr",
        "jina-ocr-v1",
        "image",
        {"model_engine": "transformers", "model_format": "pytorch"},
        files="jina-ocr",
        by_path=True,
        probe=None,
    ),
)


def smollm2_families(folder: Path) -> list[dict[str, Any]]:
    """SmolLM2 as it is, and as a relative of Qwen 2.5 that takes tools."""
    from lab.models import server_chat_template

    common = {"model_size_in_billions": _SMOLLM2_SIZE, "model_uri": folder.as_uri()}
    gguf = {
        "model_format": "ggufv2",
        "quantization": "Q4_1",
        "model_file_name_template": "SmolLM2-135M-Instruct.Q4_1.gguf",
        **common,
    }
    plain = {
        "version": 2,
        "model_name": "smollm2",
        "context_length": _SMOLLM2_CONTEXT,
        "model_lang": ["en"],
        "model_ability": ["generate", "chat"],
        "model_family": "smollm2",
        "chat_template": (folder / "chat_template.jinja").read_text(),
        "model_specs": [gguf, {"model_format": "pytorch", "quantization": "none", **common}],
        "stop_token_ids": [2],
        "stop": ["<|im_end|>"],
        "architectures": ["LlamaForCausalLM"],
    }
    tools = {
        "model_name": "smollm2-tools",
        "model_ability": ["generate", "chat", "tools"],
        "model_family": "qwen2.5-instruct",
        "chat_template": server_chat_template("qwen2.5-instruct"),
        "tool_parser": "qwen",
        "model_specs": [gguf],
    }
    return [plain, plain | tools]


def whisper_family(folder: Path) -> dict[str, Any]:
    """OpenAI's Whisper base, for many languages."""
    return {
        "version": 2,
        "model_name": "lab-whisper-base",
        "model_family": "whisper",
        "model_ability": ["audio2text"],
        "multilingual": True,
        "model_id": None,
        "model_revision": None,
        "model_uri": folder.as_uri(),
    }


def clip_family(folder: Path) -> dict[str, Any]:
    """A CLIP; the server takes it for one by its name."""
    return {
        "version": 2,
        "model_name": "tiny-clip",
        "dimensions": 64,
        "max_tokens": 77,
        "language": ["en"],
        "model_ability": ["embed_vision"],
        "model_specs": [{"model_format": "pytorch", "model_uri": folder.as_uri(), "quantization": "none"}],
    }


def vision_chat_family(folder: Path) -> dict[str, Any]:
    """A chat model that takes pictures, as the built-in family qwen2-vl-instruct has it."""
    return {
        "version": 2,
        "model_name": "tiny-vl",
        "context_length": 4096,
        "model_lang": ["en"],
        "model_ability": ["chat", "vision"],
        "model_family": "qwen2-vl-instruct",
        "chat_template": (folder / "chat_template.jinja").read_text(),
        "model_specs": [
            {
                "model_format": "pytorch",
                "model_size_in_billions": "0_001",
                "quantization": "none",
                "model_uri": folder.as_uri(),
            }
        ],
        "stop_token_ids": [2],
        "stop": ["<|im_end|>"],
        "architectures": ["Qwen2VLForConditionalGeneration"],
    }


def diffusion_family(folder: Path) -> dict[str, Any]:
    """A Stable Diffusion that draws, changes and fills in pictures."""
    return {
        "version": 2,
        "model_name": "tiny-sd",
        "model_family": "stable_diffusion",
        "model_id": None,
        "model_revision": None,
        "model_ability": ["text2image", "image2image", "inpainting"],
        "controlnet": [],
        "model_uri": folder.as_uri(),
    }
