"""Writes a trained model twice into one folder: Hugging Face files, and a GGUF for llama.cpp."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

from lab.training.tokens import END, END_ID, PAD_ID, SPECIAL, TAGS

_LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write(model: Qwen2ForCausalLM, tokenizer: Tokenizer, template: str, name: str, folder: Path) -> None:
    """Everything that the two engines read, and the chat template as a file of its own."""
    model.float().eval()
    model.generation_config.do_sample = False
    model.save_pretrained(folder)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=SPECIAL[PAD_ID], chat_template=template
    )
    fast.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(template)
    write_gguf(model, tokenizer, template, name, folder / "model.gguf")


def write_gguf(model: Qwen2ForCausalLM, tokenizer: Tokenizer, template: str, name: str, file: Path) -> None:
    """float32 throughout: the file is small, and the two engines agree."""
    config = model.config
    writer = gguf.GGUFWriter(file, "qwen2")
    writer.add_name(name)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _write_vocabulary(writer, tokenizer, template)
    weights = {name: tensor.detach().float().numpy() for name, tensor in model.state_dict().items()}
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    for layer in range(config.num_hidden_layers):
        for theirs, ours in _LAYER.items():
            for kind in ("weight", "bias"):
                if (tensor := weights.get(f"model.layers.{layer}.{theirs}.{kind}")) is not None:
                    writer.add_tensor(f"blk.{layer}.{ours}.{kind}", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_vocabulary(writer: gguf.GGUFWriter, tokenizer: Tokenizer, template: str) -> None:
    tokens = {index: token for token, index in tokenizer.get_vocab().items()}
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([tokens[i] for i in range(len(tokens))])
    writer.add_token_types([_kind(tokens[i]) for i in range(len(tokens))])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_eos_token_id(END_ID)
    writer.add_pad_token_id(PAD_ID)
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)


def _kind(token: str) -> int:
    if token in SPECIAL:
        return int(gguf.TokenType.CONTROL)
    return int(gguf.TokenType.USER_DEFINED if token in TAGS else gguf.TokenType.NORMAL)
