"""How many tokens a text has: counted by the server where its engine counts, else estimated, which a warning says."""

from __future__ import annotations

import warnings
from typing import Any

from xinference_bridge.errors import XinferenceBadRequestError, XinferenceError, XinferenceUnsupportedError
from xinference_bridge.models.chat import ChatHandle

#: What the server says where its engine, or the content, cannot be counted.
NOT_COUNTED = (XinferenceBadRequestError, XinferenceUnsupportedError)
_CHARACTERS_PER_TOKEN = 4


class EstimateWarning(UserWarning):
    """Warns that a token count is an estimate, and why."""


def warn_of_estimate(why: XinferenceError) -> None:
    """Warn that a number of tokens is an estimate."""
    warnings.warn(f"The token count is an estimate: {why.message}", EstimateWarning, stacklevel=4)


def estimate_of(text: str) -> int:
    """Return a text's tokens at four characters per token, rounded up."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


class TextCounter:
    """Counts the tokens of texts as the server does, less those of the chat template around them."""

    def __init__(self, chat: ChatHandle) -> None:
        self._chat = chat
        self._template: int | None = None

    def count(self, text: str) -> int:
        """Return the tokens of a text.

        Raises:
            XinferenceUnsupportedError: The model's engine does not count tokens.
        """
        with_text = self._chat.count_tokens(_question(text))
        if self._template is None:
            self._template = self._chat.count_tokens(_question(""))
        return with_text - self._template

    async def acount(self, text: str) -> int:
        """Async version of `count`."""
        with_text = await self._chat.acount_tokens(_question(text))
        if self._template is None:
            self._template = await self._chat.acount_tokens(_question(""))
        return with_text - self._template


def _question(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]
