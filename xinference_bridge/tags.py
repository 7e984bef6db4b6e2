"""Reasoning and tool calls that a model writes into its text, between tags, cut out of it while it streams."""

from __future__ import annotations

from typing import Literal

Kind = Literal["text", "reasoning", "tool_call"]
Start = Literal["text", "reasoning", "undecided"]


class TagSplitter:
    """Cuts `<think>…</think>` and `<tool_call>…</tool_call>` out of text that comes in pieces."""

    def __init__(self, *, tools: bool, start: Start = "text") -> None:
        raise NotImplementedError

    def feed(self, text: str) -> list[tuple[Kind, str]]:
        """What is certain after this piece of text."""
        raise NotImplementedError

    def close(self) -> list[tuple[Kind, str]]:
        """What was held back, now that nothing follows."""
        raise NotImplementedError

    def stop_reasoning(self) -> list[tuple[Kind, str]]:
        """Looks for no `<think>` from here on; returns what was held back for its sake."""
        raise NotImplementedError
