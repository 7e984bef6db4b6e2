"""The models' files: built once from the data and scripts in this folder, and found again by a hash of those."""

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

# What each model is made from: a change in any of these files makes the model anew, and only that model.
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
"""What servers of all versions run."""
REAL = ("smollm2",)
"""A public model, on the default version alone."""
MEDIA = tuple(name for name in _MAKERS_OF if name not in REAL)
"""Sound, pictures, documents and sparse vectors, on the default version alone."""
NAMES = (*TINY, *REAL, *MEDIA)

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Threads that spin while they wait for each other: on a busy machine 1.08 s of CPU a step, not 0.55.
    "OMP_WAIT_POLICY": "PASSIVE",
}


def model_folder(name: str) -> Path:
    """Where the model's files are, or will be once built; servers of all versions are given the same files."""
    recipe = digest([*_RECIPES[name], requirements_file(DEFAULT_XINFERENCE)])
    return cache_folder() / "models" / f"{name}-{recipe}"


def addition_of(name: str) -> str | None:
    """The packages that the model needs beside the server's own, by the name of their list in `requirements/`."""
    if name in REAL:
        return "smollm2"
    return "media" if name in MEDIA else None


def as_read_by(version: str, name: str, folder: Path) -> Path:
    """The model's files as a server of this version can read them: where it cannot, a copy beside the server's home."""
    config = folder / "tokenizer_config.json"
    if int(version.split(".", maxsplit=1)[0]) > 2 or "training" not in _COMMANDS[name][1]:
        return folder
    # Written by transformers 5; transformers 4 does not know the class that it names ("TokenizersBackend").
    copy = STATE / "models" / name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    entry = json.loads(config.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    (copy / config.name).write_text(json.dumps(entry))
    return copy


def models_digest() -> str:
    """One hash over all models and what is launched: a running lab with another one is out of date."""
    return digest([LAB / "families.py", LAB / "more_models.py"], *(model_folder(name).name for name in NAMES))


def ensure_model(name: str) -> Path:
    """The model's folder; builds it when it is not there, with the libraries of the lab's own version.

    A failed build is put aside as `….failed`.
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
        if not folder.exists():  # another checkout may have been quicker
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"built {name} in {time.monotonic() - started:.0f} s")
    return folder


def server_chat_template(family: str) -> str:
    """The chat template of a built-in family, as the installed server has it."""
    site = next((ensure_environment(DEFAULT_XINFERENCE).parent.parent / "lib").glob("python3*")) / "site-packages"
    content = json.loads((site / "xinference" / "model" / "llm" / "models" / f"{family}.json").read_text())
    return str((content[0] if isinstance(content, list) else content)["chat_template"])
