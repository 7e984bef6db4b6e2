"""What the lab registers and launches: model families, and a table of UIDs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

CHAT_CONTEXT = 4096
_SIZE = "0_001"


@dataclass(frozen=True)
class Launch:
    """One running model: its fixed UID, its family, and the engine and options it is launched with."""

    uid: str
    family: str
    model_type: str
    options: dict[str, Any] = field(default_factory=dict)
    files: str = ""
    """The name of the model's files in `lab.models`."""
    by_path: bool = False
    """Whether the server knows the family already, and is given the files at the launch."""
    probe: Literal["call"] | None = "call"
    """Whether a call of the model's type, in JSON, shows that it works."""

    def payload(self, folder: Path | None = None) -> dict[str, Any]:
        """The body of `POST /v1/models`; `folder` holds the files of a model that is launched `by_path`."""
        path = {"model_path": str(folder)} if self.by_path else {}
        return path | {
            "model_uid": self.uid,
            "model_name": self.family,
            "model_type": self.model_type,
            "enable_virtual_env": False,
            **self.options,
        }


_SLOTS = 4
_LLAMA_CPP = {
    "model_engine": "llama.cpp",
    "model_format": "ggufv2",
    "quantization": "f32",
    "model_size_in_billions": _SIZE,
    # llama.cpp divides its context among the slots: with the server's own settings (2 slots on 2 CPUs, n_ctx 4096) a
    # prompt of 3,000 tokens was refused with a 500, although the description says 4096.
    "n_parallel": _SLOTS,
    "n_ctx": CHAT_CONTEXT * _SLOTS,
    "n_threads": 1,  # as OMP_NUM_THREADS for the others: see the server's settings
}
_TRANSFORMERS = {
    "model_engine": "transformers",
    "model_format": "pytorch",
    "quantization": "none",
    "model_size_in_billions": _SIZE,
}
SENTENCE_TRANSFORMERS = {"model_engine": "sentence_transformers", "model_format": "pytorch", "quantization": "none"}
_PARSED = {"reasoning_content": True, "enable_thinking": True}
_RAW = {"reasoning_content": False, "enable_thinking": True}

# llama.cpp cuts thoughts out itself (its reasoning_format is "deepseek" by default), and then 4.1.0's parser takes what
# is left for the thought: "2 + 2 is 4." arrived as reasoning_content, with content "". 0 is "none": text as written.
_AS_WRITTEN = {"reasoning_format": 0}

LAUNCHES = (
    Launch("minilm", "all-MiniLM-L6-v2", "embedding", SENTENCE_TRANSFORMERS, files="minilm"),
    Launch("tiny-rerank", "tiny-rerank", "rerank", SENTENCE_TRANSFORMERS, files="tiny-rerank"),
    Launch("tiny-chat", "tiny-chat", "LLM", _LLAMA_CPP, files="tiny-chat"),
    Launch("tiny-chat-hf", "tiny-chat", "LLM", _TRANSFORMERS, files="tiny-chat"),
    Launch("tiny-think", "tiny-think", "LLM", _LLAMA_CPP | _PARSED | _AS_WRITTEN, files="tiny-think"),
    Launch("tiny-think-hf", "tiny-think", "LLM", _TRANSFORMERS | _PARSED, files="tiny-think"),
    Launch("tiny-think-raw", "tiny-think", "LLM", _LLAMA_CPP | _RAW | _AS_WRITTEN, files="tiny-think"),
)

_ONE, _CHAT = LAUNCHES[0], LAUNCHES[2]
CLUSTER_LAUNCHES = (
    replace(_ONE, options=_ONE.options | {"replica": 2}),
    replace(_ONE, uid="minilm-one"),  # what two replicas are measured against
    replace(_CHAT, options=_CHAT.options | {"replica": 2}),
)
"""What a cluster of two workers runs: the supervisor puts one replica on each."""


def chat_family(folder: Path) -> dict[str, Any]:
    """A chat model with tools, as the built-in family qwen2.5-instruct has it; both engines read the same folder."""
    return _llm_family("tiny-chat", "qwen2.5-instruct", folder) | {"model_ability": ["generate", "chat", "tools"]}


def think_family(folder: Path) -> dict[str, Any]:
    """A reasoning model whose thinking can be switched off, as the built-in family qwen3 has it."""
    return _llm_family("tiny-think", "qwen3", folder) | {
        "model_ability": ["generate", "chat", "reasoning", "hybrid", "tools"],
        "reasoning_start_tag": "<think>",
        "reasoning_end_tag": "</think>",
    }


def embedding_family(folder: Path) -> dict[str, Any]:
    """all-MiniLM-L6-v2: 384 dimensions, 256 tokens."""
    return {
        "version": 2,
        "model_name": "all-MiniLM-L6-v2",
        "dimensions": 384,
        "max_tokens": 256,
        "language": ["en"],
        "model_specs": [{"model_format": "pytorch", "model_uri": _uri(folder), "quantization": "none"}],
    }


def rerank_family(folder: Path) -> dict[str, Any]:
    """A cross-encoder with one label."""
    return {
        "version": 2,
        "model_name": "tiny-rerank",
        "type": "normal",
        "max_tokens": 512,
        "language": ["en"],
        "model_specs": [{"model_format": "pytorch", "model_uri": _uri(folder), "quantization": "none"}],
    }


def _llm_family(name: str, built_in: str, folder: Path) -> dict[str, Any]:
    common = {"model_size_in_billions": _SIZE, "model_uri": _uri(folder)}
    return {
        "version": 2,
        "model_name": name,
        "context_length": CHAT_CONTEXT,
        "model_lang": ["en"],
        # 4.1.0 registers a family with tools only as a relative of a built-in one. The template is that one's, but
        # written out: given by name, the server would also take that family's stop tokens (151643 …), unknown here.
        "model_family": built_in,
        "chat_template": (folder / "chat_template.jinja").read_text(),
        "model_specs": [
            {"model_format": "ggufv2", "quantization": "f32", "model_file_name_template": "model.gguf", **common},
            {"model_format": "pytorch", "quantization": "none", **common},
        ],
        "stop_token_ids": [0, 2],
        "stop": ["<|im_end|>", "<|endoftext|>"],
        "tool_parser": "qwen",
        "architectures": ["Qwen2ForCausalLM"],
    }


def _uri(folder: Path) -> str:
    return folder.as_uri()
