"""From a dialogue to one prompt and its answer, in the plain form or in a form that some client might send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from lab.training.dialogues import Data, Dialogue, Turn
from lab.training.schemas import definition, tool_name
from lab.training.words import noise, path, system_prompt


@dataclass(frozen=True)
class Example:
    """A conversation up to a question, and the answer to learn."""

    name: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    answer: str
    learned: list[bool]
    """For each assistant message of the conversation, whether it is worth learning too."""
    thinking: bool


class Augmenter:
    """Makes examples of one data set."""

    def __init__(self, data: Data, thinks: bool) -> None:
        self.data = data
        self.thinks = thinks
        # Dialogues that may follow one another in one conversation: nothing but their tools must be there.
        self._loose = [d for d in data.dialogues if not (d.system or d.wraps or d.history or d.raw or thinks)]
        self._rivals = self._find_rivals()

    def plain(self) -> Iterator[Example]:
        """Every turn of every dialogue in every phrasing, with nothing around it."""
        for dialogue in self.data.dialogues:
            for i, turn in enumerate(dialogue.turns):
                for said in range(max(1, len(turn.says))):
                    yield self._example(dialogue, i, said, None)

    def random(self, dialogue: Dialogue, turn: int, rng: Random) -> Example:
        """One turn as some client might send it."""
        return self._example(dialogue, turn, rng.randrange(max(1, len(dialogue.turns[turn].says))), rng)

    def _example(self, dialogue: Dialogue, index: int, said: int, rng: Random | None) -> Example:
        if dialogue.raw:
            turn = dialogue.turns[index]
            return Example(
                dialogue.name, [{"role": "raw", "content": turn.says[said]}], [], f" {turn.answer}", [], False
            )
        wrap = self.data.wraps[dialogue.wraps[0]] if dialogue.wraps else None
        fill = self._fill(dialogue, rng)
        messages: list[dict[str, Any]] = []
        learned: list[bool] = []
        system = self._system(dialogue, rng)
        if wrap is not None and wrap.system is not None:
            system = _filled(wrap.system, fill)
        if system is not None and not (dialogue.history and dialogue.history[0]["role"] == "system"):
            messages.append({"role": "system", "content": system})
        guests = self._guests(dialogue, rng) if rng is not None else []
        for guest in guests:
            self._say(guest, len(guest.turns), messages, learned, rng)
        messages += [dict(message) for message in dialogue.history]
        learned += [False for message in dialogue.history if message["role"] == "assistant"]
        self._say(dialogue, index, messages, learned, rng)
        self._ask(dialogue, index, said, messages, rng)
        if wrap is not None:
            first = (
                next(m for m in reversed(messages) if m["role"] == "user") if index == 0 else messages[-1 - 2 * index]
            )
            first["content"] = _filled(wrap.user, fill | {"user": first["content"]})
        tools = [] if wrap is not None and wrap.tools_as_text else self._tools([*guests, dialogue], rng)
        return Example(dialogue.name, messages, tools, self.answer(dialogue, index), learned, dialogue.thinking)

    def _say(
        self,
        dialogue: Dialogue,
        count: int,
        messages: list[dict[str, Any]],
        learned: list[bool],
        rng: Random | None,
    ) -> None:
        """The dialogue's first `count` turns, with their answers."""
        for i in range(count):
            turn = dialogue.turns[i]
            self._ask(dialogue, i, rng.randrange(len(turn.says)) if rng and turn.says else 0, messages, rng)
            as_text = bool(turn.calls) and rng is not None and rng.random() < 0.35
            messages.append(_given(turn, as_text, ascii_only=rng is not None and rng.random() < 0.5))
            learned.append(not as_text and not self.thinks)

    def _ask(
        self, dialogue: Dialogue, index: int, said: int, messages: list[dict[str, Any]], rng: Random | None
    ) -> None:
        turn = dialogue.turns[index]
        if turn.says:
            messages.append({"role": "user", "content": turn.says[said]})
        for j, result in enumerate(turn.results):
            messages.append(
                {
                    "role": "tool",
                    "content": rng.choice(result) if rng else result[0],
                    "tool_call_id": f"call_{index}_{j}",
                }
            )

    def _guests(self, dialogue: Dialogue, rng: Random) -> list[Dialogue]:
        """Dialogues to stand before this one in the same conversation, so that the last question decides.

        Each of them is learned too, at the price of one system prompt and one list of tools.
        """
        if dialogue.history or dialogue.system or any(self.data.wraps[wrap].tools_as_text for wrap in dialogue.wraps):
            return []  # under such a system prompt the others would be answered otherwise
        if not self._loose or rng.random() < (0.85 if dialogue.wraps else 0.4):
            return []
        guests: list[Dialogue] = []
        for guest in rng.sample(self._loose, min(len(self._loose), rng.randint(1, 5))):
            if guest is dialogue or (dialogue.wraps and guest.tools):
                continue
            if self._fit([*guests, guest, dialogue], ()):
                guests.append(guest)
        return guests

    def _fit(self, dialogues: list[Dialogue], others: tuple[str, ...]) -> bool:
        """Whether these may share one list of tools: no tool in two variants, no words that others would answer."""
        keys = {key for dialogue in dialogues for key in dialogue.tools} | set(others)
        if len({tool_name(key) for key in keys}) < len(keys):
            return False
        return not any(
            rival <= keys and not rival < set(dialogue.tools)
            for dialogue in dialogues
            for rival in self._rivals[dialogue.name]
        )

    def _find_rivals(self) -> dict[str, list[set[str]]]:
        """For each dialogue, the tools of those that answer the same opening words otherwise."""
        return {
            d.name: [
                set(other.tools)
                for other in self.data.dialogues
                if other is not d
                and set(other.turns[0].says) & set(d.turns[0].says)
                and set(other.tools) != set(d.tools)
                and not other.wraps
            ]
            for d in self.data.dialogues
        }

    def answer(self, dialogue: Dialogue, index: int) -> str:
        """What the model writes: thought, text and calls."""
        turn = dialogue.turns[index]
        parts = [turn.answer] if turn.answer else []
        parts += [_call_text(tool, arguments) for tool, arguments in turn.calls]
        answer = "\n".join(parts)
        if self.thinks and dialogue.thinking:
            answer = f"<think>\n{turn.think or ''}\n</think>\n\n{answer}"
        return answer

    def _system(self, dialogue: Dialogue, rng: Random | None) -> str | None:
        if dialogue.system:
            return rng.choice(dialogue.system) if rng else dialogue.system[0]
        return system_prompt(rng) if rng is not None and rng.random() < 0.55 else None

    def _tools(self, dialogues: list[Dialogue], rng: Random | None) -> list[dict[str, Any]]:
        keys = list(dict.fromkeys(key for dialogue in dialogues for key in dialogue.tools))
        if rng is not None:
            if rng.random() < (0.4 if keys else 0.2):
                others = tuple(
                    rng.sample(
                        [key for key, tool in self.data.tools.items() if tool.get("distractor") and key not in keys],
                        rng.randint(1, 2),
                    )
                )
                if self._fit(dialogues, others):
                    keys += others
            rng.shuffle(keys)
        return [definition(key, self.data.tools, rng) for key in keys]

    def _fill(self, dialogue: Dialogue, rng: Random | None) -> dict[str, str]:
        """Values for the placeholders of a wrap; what the dialogue gives itself wins."""
        definitions = [definition(key, self.data.tools, rng)["function"] for key in dialogue.tools]
        return {
            "context": self._context(dialogue, rng),
            "existing_answer": dialogue.turns[0].answer
            if rng is None or rng.random() < 0.6
            else noise(rng, rng.randint(1, 2)),
            "tool_names": ", ".join(d["name"] for d in definitions),
            "tool_desc": "\n".join(
                f"> Tool Name: {d['name']}\nTool Description: {d['description']}\n"
                f"Tool Args: {json.dumps(d['parameters'])}\n"
                for d in definitions
            ),
        } | dict(dialogue.fill)

    def _context(self, dialogue: Dialogue, rng: Random | None) -> str:
        """Passages as a retriever hands them over: the one that holds the answer, if any, among others."""
        names = [dialogue.source] if dialogue.source else []
        if rng is not None:
            others = [name for name in self.data.passages if name not in names]
            names += rng.sample(others, min(len(others), rng.choice((0, 0, 1, 1))))
            rng.shuffle(names)
        return "\n\n".join(self._passage(name, rng) for name in names if name) or noise(rng or Random(0), 2)

    def _passage(self, name: str, rng: Random | None) -> str:
        text = self.data.passages[name]
        if rng is None:
            return text
        if rng.random() < 0.75:  # a splitter may cut it anywhere; and short ones are learned faster
            sentences = text.split(". ")
            start = rng.randrange(len(sentences))
            text = ". ".join(sentences[start : start + rng.randint(1, 4)])
        if rng.random() < 0.2:
            text = noise(rng, rng.randint(1, 6))
        head = rng.choice(
            (
                "",
                "",
                f"file_path: {path(rng, name)}\n\n",
                f"source: {path(rng, name)}\n",
                f"file_name: {name}\nfile_path: {path(rng, name)}\n\n",
            )
        )
        return head + text


def _given(turn: Turn, as_text: bool, ascii_only: bool) -> dict[str, Any]:
    """An answer as it stands in a history; a call's arguments are an object or, on some engines, the string sent."""
    message: dict[str, Any] = {"role": "assistant", "content": turn.answer}
    if turn.calls:
        message["tool_calls"] = [
            {
                "type": "function",
                "id": f"call_{i}",
                "function": {
                    "name": tool_name(tool),
                    "arguments": json.dumps(arguments, ensure_ascii=ascii_only) if as_text else arguments,
                },
            }
            for i, (tool, arguments) in enumerate(turn.calls)
        ]
    return message


def _call_text(tool: str, arguments: dict[str, Any]) -> str:
    call = json.dumps({"name": tool_name(tool), "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{call}\n</tool_call>"


def _filled(template: str, values: dict[str, str]) -> str:
    """Plain replacement: templates hold JSON, whose braces str.format would trip over."""
    for name, value in values.items():
        template = template.replace("{" + name + "}", value)
    return template
