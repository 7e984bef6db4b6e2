"""Reads the dialogue files: what the tiny models shall answer, word for word. The format is told in lab/README.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).resolve().parent.parent / "dialogues"
PASSAGES = Path(__file__).resolve().parent.parent.parent / "examples" / "data"


@dataclass(frozen=True)
class Turn:
    """What is said (a user's phrasings, or the results of the calls before), and what the model answers."""

    says: tuple[str, ...]
    results: tuple[tuple[str, ...], ...]
    answer: str
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    think: str | None = None


@dataclass(frozen=True)
class Dialogue:
    """One entry of a file; each of its turns is learned."""

    name: str
    turns: tuple[Turn, ...]
    tools: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    wraps: tuple[str, ...] = ()
    history: tuple[dict[str, Any], ...] = ()
    fill: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    thinking: bool = True
    raw: bool = False
    """Whether the words are continued as they stand, without a chat template (`/v1/completions`)."""


@dataclass(frozen=True)
class Wrap:
    """A framework's prompt around a user's words."""

    user: str
    system: str | None
    tools_as_text: bool


@dataclass(frozen=True)
class Data:
    """Everything that one model learns from."""

    dialogues: tuple[Dialogue, ...]
    tools: Mapping[str, dict[str, Any]]
    wraps: Mapping[str, Wrap]
    passages: Mapping[str, str]


def load(kind: str) -> Data:
    """The dialogues of `chat` or `think` with the tools, wraps and passages they name; an error names the entry."""
    tools = _yaml(DATA / "tools.yaml")
    wraps = {
        name: Wrap(w.get("user", "{user}"), w.get("system"), bool(w.get("tools_as_text")))
        for name, w in _yaml(DATA / "wraps.yaml").items()
    }
    dialogues = []
    for file in sorted((DATA / kind).glob("*.yaml")):
        for i, entry in enumerate(_yaml(file)):
            dialogues.extend(_dialogues(f"{file.stem}[{i}]", entry))
    for dialogue in dialogues:
        _check(dialogue, tools, wraps)
    passages = {file.name: file.read_text().strip() for file in sorted(PASSAGES.glob("*.md"))}
    return Data(tuple(dialogues), tools, wraps, passages)


def _dialogues(name: str, entry: dict[str, Any]) -> list[Dialogue]:
    turns = entry.get("turns") or [entry]
    common = {
        "tools": tuple(entry.get("tools", ())),
        "system": tuple(_list(entry.get("system", []))),
        "history": tuple(entry.get("history", ())),
        "fill": {key: str(value) for key, value in entry.get("fill", {}).items()},
        "source": entry.get("source"),
        "thinking": entry.get("thinking", True),
        "raw": "raw" in entry,
    }
    first = turns[0].get("user") or turns[0].get("results") or turns[0].get("raw")
    label = f"{name} {_list(first)[0]!r:.60}"
    # `wrap: [plain, a, b]` is one dialogue for each wrap: an answer is asked for in every one of these prompts.
    wraps = _list(entry.get("wrap", "plain"))
    return [
        Dialogue(
            f"{label} ({wrap})" if wrap != "plain" else label,
            tuple(map(_turn, turns)),
            wraps=() if wrap == "plain" else (wrap,),
            **common,
        )
        for wrap in wraps
    ]


def _turn(entry: dict[str, Any]) -> Turn:
    answer = entry.get("answer", "")
    if not isinstance(answer, str):  # YAML that is not text is JSON to be answered
        answer = json.dumps(answer, ensure_ascii=False)
    calls = tuple((tool, dict(arguments)) for call in entry.get("calls", ()) for tool, arguments in call.items())
    if not answer and not calls:
        raise ValueError(f"no answer and no calls in {entry}")
    results = tuple(tuple(_list(result)) for result in entry.get("results", ()))
    think = entry.get("think")
    return Turn(
        tuple(map(str, _list(entry.get("user", entry.get("raw", []))))),
        results,
        answer.strip(),
        calls,
        think.strip() if think else None,
    )


def _check(dialogue: Dialogue, tools: Mapping[str, Any], wraps: Mapping[str, Any]) -> None:
    for tool in dialogue.tools:
        if tool not in tools:
            raise ValueError(f"{dialogue.name}: no tool {tool!r} in tools.yaml")
    for wrap in dialogue.wraps:
        if wrap not in wraps:
            raise ValueError(f"{dialogue.name}: no wrap {wrap!r} in wraps.yaml")
    for turn in dialogue.turns:
        if not turn.says and not turn.results:
            raise ValueError(f"{dialogue.name}: a turn needs `user` or `results`")
        for tool, _ in turn.calls:
            if tool not in dialogue.tools:
                raise ValueError(f"{dialogue.name}: calls {tool!r}, which is not among its tools")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _yaml(file: Path) -> Any:
    return yaml.safe_load(file.read_text())
