"""Folders for families that execute code from their folder: `python -m lab.makers.toy NAME FOLDER`.

The built-in Qwen3-VL-Embedding-2B, Qwen3-VL-Reranker-2B, jina-reranker-m0 and jina-ocr-v1 do. What lies in `toys/` is
that code; it needs no weights, and its answers mean something: a red picture is near the word "red".
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from lab.makers.files import write_json

_TOYS = Path(__file__).parent / "toys"
_IMPORT = "from .words import "


def write_script(name: str, folder: Path) -> None:
    """Write `scripts/<name>.py`, which the server loads as one file: what it imports stands in it."""
    words = (_TOYS / "words.py").read_text(encoding="utf-8")
    _, _, script = (_TOYS / f"{name}.py").read_text(encoding="utf-8").partition(_IMPORT)
    (folder / "scripts").mkdir(parents=True, exist_ok=True)
    (folder / "scripts" / f"{name}.py").write_text(words + script.partition("\n")[2], encoding="utf-8")
    write_json(folder / "config.json", {})


def write_reranker_m0(folder: Path) -> None:
    """Write jina-reranker-m0's folder."""
    _copy(folder, "words", "jina_reranker_m0")
    classes = {"AutoConfig": "ToyConfig", "AutoModel": "JinaVLForRanking"}
    write_json(
        folder / "config.json",
        {
            "model_type": "toy_m0",
            "architectures": ["JinaVLForRanking"],
            "torch_dtype": "float32",
            "auto_map": {auto: f"jina_reranker_m0.{name}" for auto, name in classes.items()},
        },
    )
    _write_weight(folder)


def write_ocr(folder: Path) -> None:
    """Write jina-ocr-v1's folder."""
    _copy(folder, "words", "jina_ocr", "jina_ocr_processor")
    processor = {"AutoProcessor": "jina_ocr_processor.ToyOCRProcessor"}
    models = {"AutoConfig": "jina_ocr.ToyOCRConfig", "AutoModelForCausalLM": "jina_ocr.ToyOCR"}
    config = {"model_type": "toy_ocr", "architectures": ["ToyOCR"], "auto_map": models | processor}
    write_json(folder / "config.json", config)
    write_json(folder / "processor_config.json", {"processor_class": "ToyOCRProcessor", "auto_map": processor})
    _write_weight(folder)


def _copy(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(_TOYS / f"{name}.py", folder / f"{name}.py")


def _write_weight(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    state = {"score.weight": torch.ones(1, 1), "score.bias": torch.zeros(1)}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    name, target = sys.argv[1], Path(sys.argv[2])
    if name == "jina_reranker_m0":
        write_reranker_m0(target)
    elif name == "jina_ocr":
        write_ocr(target)
    else:
        write_script(name, target)
