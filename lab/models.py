"""The models' files: built once from the data and scripts in this folder, and found again by a hash of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from lab.environment import ensure_environment
from lab.paths import DEFAULT_XINFERENCE, LAB, ROOT, STATE, cache_folder, digest, requirements_file
from lab.say import LabError, say

# The sources of each model. A change in one of these files rebuilds that model, and only that one.
_TRAINING = sorted((LAB / "training").glob("*.py"))
_CHAT_DATA = sorted((LAB / "dialogues").glob("*.yaml")) + sorted((ROOT / "examples" / "data").glob("*.md"))
_ASKED = LAB / "dialogues" / "asked"
_RECIPES: dict[str, list[Path]] = {
    "tiny-chat": [*_TRAINING, *sorted((LAB / "dialogues" / "chat").glob("*.yaml")), _ASKED / "chat.jsonl", *_CHAT_DATA],
    "tiny-think": [
        *_TRAINING,
        *sorted((LAB / "dialogues" / "think").glob("*.yaml")),
        _ASKED / "think.jsonl",
        *_CHAT_DATA,
    ],
    "minilm": [LAB / "encoders.py"],
    "tiny-rerank": [LAB / "encoders.py"],
}
_MAKERS = LAB / "makers"
_TOYS = [_MAKERS / "toy.py", *sorted((_MAKERS / "toys").glob("*.py"))]
_MAKERS_OF: dict[str, tuple[list[str], list[Path]]] = {
    "smollm2": (["smollm2"], []),
    "whisper": (["whisper"], []),
    "kokoro": (["kokoro"], []),
    "tiny-clip": (["clip"], []),
    "tiny-m3": (["m3"], []),
    "qwen3-vl-embedding": (["toy", "qwen3_vl_embedding"], _TOYS),
    "qwen3-vl-reranker": (["toy", "qwen3_vl_reranker"], _TOYS),
    "jina-reranker-m0": (["toy", "jina_reranker_m0"], _TOYS),
    "tiny-vl": (["vision_chat"], []),
    "tiny-sd": (["images"], []),
    "jina-ocr": (["toy", "jina_ocr"], _TOYS),
}
_RECIPES |= {
    name: [_MAKERS / f"{words[0]}.py", _MAKERS / "files.py", *more] for name, (words, more) in _MAKERS_OF.items()
}
_COMMANDS = {
    "tiny-chat": ["-m", "lab.training.build", "chat"],
    "tiny-think": ["-m", "lab.training.build", "think"],
    "minilm": ["-m", "lab.encoders", "minilm"],
    "tiny-rerank": ["-m", "lab.encoders", "rerank"],
}
_COMMANDS |= {name: ["-m", f"lab.makers.{words[0]}", *words[1:]] for name, (words, _) in _MAKERS_OF.items()}

TINY = ("tiny-chat", "tiny-think", "minilm", "tiny-rerank")
"""The models for all server versions."""
REAL = ("smollm2",)
"""A public model, only for the default version."""
MEDIA = tuple(name for name in _MAKERS_OF if name not in REAL)
"""Models for audio, images, documents and sparse vectors, only for the default version."""
NAMES = (*TINY, *REAL, *MEDIA)

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Without it, threads spin while they wait for each other: 1.08 s of CPU per step on a busy machine, not 0.55.
    "OMP_WAIT_POLICY": "PASSIVE",
}


def model_folder(name: str) -> Path:
    """Return the folder of the model's files, built or not. All server versions use the same files."""
    recipe = digest([*_RECIPES[name], requirements_file(DEFAULT_XINFERENCE)])
    return cache_folder() / "models" / f"{name}-{recipe}"


def addition_of(name: str) -> str | None:
    """Return the name of the list in `requirements/` with the additional packages that the model needs."""
    if name in REAL:
        return "smollm2"
    return "media" if name in MEDIA else None


def as_read_by(version: str, name: str, folder: Path) -> Path:
    """Return model files that this server version can read: the originals, or a converted copy in the lab's state."""
    config = folder / "tokenizer_config.json"
    if int(version.split(".", maxsplit=1)[0]) > 2 or "training" not in _COMMANDS[name][1]:
        return folder
    # The file is written by transformers 5. transformers 4 does not know the class in it ("TokenizersBackend").
    copy = STATE / "models" / name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    entry = json.loads(config.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    (copy / config.name).write_text(json.dumps(entry))
    return copy


def models_digest() -> str:
    """Return one hash over all models and launch settings. A running lab with another hash is outdated."""
    return digest([LAB / "families.py", LAB / "more_models.py"], *(model_folder(name).name for name in NAMES))


def ensure_model(name: str) -> Path:
    """Return the model's folder. Build it if it is missing, with the libraries of the lab's default version.

    A failed build is renamed to `….failed`.
    """
    folder = model_folder(name)
    if folder.exists():
        return folder
    python = ensure_environment(DEFAULT_XINFERENCE, addition_of(name))
    say(f"building {name} into {folder}" + (" (training: some minutes)" if "training" in _COMMANDS[name][1] else ""))
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    partial.mkdir(parents=True)
    started = time.monotonic()
    try:
        environment = os.environ | _ENVIRONMENT
        run = subprocess.run([str(python), *_COMMANDS[name], str(partial)], cwd=ROOT, env=environment, check=False)
        if run.returncode != 0:
            failed = folder.with_name(f"{folder.name}.failed")
            shutil.rmtree(failed, ignore_errors=True)
            partial.rename(failed)
            raise LabError(f"building {name} ended with {run.returncode}; its words are above, its files in {failed}")
        if not folder.exists():  # another checkout may have built it meanwhile
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"built {name} in {time.monotonic() - started:.0f} s")
    return folder


def server_chat_template(family: str) -> str:
    """Return the chat template of a built-in family from the installed server."""
    site = next((ensure_environment(DEFAULT_XINFERENCE).parent.parent / "lib").glob("python3*")) / "site-packages"
    content = json.loads((site / "xinference" / "model" / "llm" / "models" / f"{family}.json").read_text())
    return str((content[0] if isinstance(content, list) else content)["chat_template"])
