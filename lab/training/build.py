"""Builds one chat model: `python -m lab.training.build chat|think FOLDER`. Fails when the result answers too little."""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from lab.training import export
from lab.training.asked import load_asked
from lab.training.augment import Augmenter
from lab.training.dialogues import load
from lab.training.tokens import Renderer, built_in_template, train_tokenizer
from lab.training.train import Size, Trainer

SIZES = {
    "chat": Size(128, layers=4, heads=4, inner=384, vocabulary=2560, batch_tokens=3072, steps=1600, cooling=350),
    "think": Size(128, layers=3, heads=4, inner=320, vocabulary=1024, batch_tokens=2048, steps=700, cooling=200),
}
TEMPLATES = {"chat": "qwen2.5-instruct", "think": "qwen3"}
TOLERATED = 0.08
"""The share of check prompts that may be answered otherwise than written; they are printed."""
TOLERATED_ASKED = 0.02
"""The same for the prompts of the tests, where each may be a test that fails."""


def main(kind: str, folder: Path) -> int:
    """Train, check, write; 0 when the check is passed."""
    size = SIZES[kind]
    if steps := os.environ.get("LAB_TRAINING_STEPS"):
        size = replace(size, steps=int(steps))
    data = load(kind)
    augmenter = Augmenter(data, thinks=kind == "think")
    template = built_in_template(TEMPLATES[kind])
    renderer = Renderer(template)
    rng = random.Random(2)
    turns = [(dialogue, i) for dialogue in data.dialogues for i in range(len(dialogue.turns))]
    texts = [
        "".join(text for text, _ in renderer.pieces(augmenter.random(d, i, rng))) for d, i in turns for _ in range(12)
    ]
    # Learned on ASCII alone: every other character stays two to four tokens of one byte each, as rare ones are in large
    # models. So streams cut characters in two, and tests see it.
    tokenizer = train_tokenizer((text.encode("ascii", "ignore").decode() for text in texts), size.vocabulary)
    trainer = Trainer(size, tokenizer, renderer, augmenter, load_asked(kind, augmenter))
    parameters = sum(p.numel() for p in trainer.model.parameters())
    print(f"{kind}: {len(turns)} answers, {parameters:,} parameters, {tokenizer.get_vocab_size()} tokens", flush=True)
    trainer.run()
    folder.mkdir(parents=True, exist_ok=True)
    export.write(trainer.model, tokenizer, template, f"tiny-{kind}", folder)
    return check(trainer)


def check(trainer: Trainer) -> int:
    """Print every dialogue that is not answered word for word: plain, and in prompts that training did not see."""
    rng = random.Random(3)
    examples = list(trainer.augmenter.plain()) + [
        trainer.augmenter.random(d, i, rng) for d, i in trainer.turns for _ in range(3)
    ]
    wrong = trainer.wrong(examples)
    counted, failed = (Counter(example.name for example in some) for some in (examples, wrong))
    for name in sorted(failed):
        print(f"  not word for word: {name} ({failed[name]} of {counted[name]})")
    print(f"self-check: {len(examples) - len(wrong)} of {len(examples)} prompts are answered word for word", flush=True)
    missed = trainer.unsure(trainer.asked)
    for example in missed:
        print(f"  not as the tests expect, or not surely: {example.name}")
    print(f"the tests' prompts: {len(trainer.asked) - len(missed)} of {len(trainer.asked)}", flush=True)
    return 0 if len(wrong) <= TOLERATED * len(examples) and len(missed) <= TOLERATED_ASKED * len(trainer.asked) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
