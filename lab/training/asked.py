"""What the tests ask, as `lab/asked.py` gathered it: prompts to be answered word for word, whatever else is."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from lab.training.augment import Augmenter, Example
from lab.training.dialogues import DATA


def load_asked(kind: str, augmenter: Augmenter) -> list[Example]:
    """The prompts whose recorded answer is one that the dialogues give; what the old weights babbled is left out."""
    given = {augmenter.answer(dialogue, i) for dialogue in augmenter.data.dialogues for i in range(len(dialogue.turns))}
    examples = []
    for number, line in enumerate((DATA / "asked" / f"{kind}.jsonl").read_text(encoding="utf-8").splitlines(), 1):
        entry = json.loads(line)
        answer = entry["answer"]
        if answer.strip() not in given:
            continue
        said = entry["messages"][-1]["content"]
        for messages in _as_engines_write(entry["messages"]):
            name = f"asked {kind}.jsonl:{number} {said[-60:]!r}"
            examples.append(Example(name, messages, entry["tools"], answer, [], entry["thinking"]))
    return examples


def _as_engines_write(messages: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The arguments of earlier calls reach the template as the string they came in, or on another engine as objects."""
    if not any(message.get("tool_calls") for message in messages):
        return [messages]
    as_objects = deepcopy(messages)
    for message in as_objects:
        for call in message.get("tool_calls") or ():
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return [messages, as_objects]
