"""Token counts for LlamaIndex's splitters, memories and token counters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools.types import BaseTool

from llamaindex_xinference_bridge._arguments import messages_of
from llamaindex_xinference_bridge._base import ServedModelFields
from llamaindex_xinference_bridge._messages import messages_to_wire
from llamaindex_xinference_bridge._tools import tool_to_wire
from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.integration.token_counting import NOT_COUNTED, TextCounter, estimate_of, warn_of_estimate
from xinference_bridge.models.chat import ChatHandle

_MOST_TEXTS = 4096
"""Splitters ask for the same sentence again and again; so many counts are kept."""


class ServerTokenizer:
    """A replacement for a tokenizer, which LlamaIndex uses only to count: its lists have the server's token count.

    Counts are exact on engines that count (transformers, vLLM, SGLang), else estimated at four characters per token,
    with one EstimateWarning. Each new text is a request to the server, and blocks; results are kept. The items are
    positions, not token ids, which the server does not return.
    """

    def __init__(self, connection: XinferenceConnection, model_uid: str) -> None:
        self._connection = connection
        self._model_uid = model_uid
        self._estimates = False
        self._start()

    def _start(self) -> None:
        self._counter = TextCounter(ChatHandle(self._connection, self._model_uid))
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def __call__(self, text: str, *_: Any, **__: Any) -> list[int]:
        """Return a list as long as the text's token count.

        Args:
            text: The text; special tokens of the chat template are not counted.

        Raises:
            XinferenceError: The request failed.
        """
        with self._lock:
            if text in self._counts:
                self._counts.move_to_end(text)
                return list(range(self._counts[text]))
        number = self._count(text)
        with self._lock:
            self._counts[text] = number
            if len(self._counts) > _MOST_TEXTS:
                self._counts.popitem(last=False)
        return list(range(number))

    def _count(self, text: str) -> int:
        if not text:
            return 0
        if not self._estimates:
            try:
                return self._counter.count(text)
            except NOT_COUNTED as why:
                self._estimates = True
                warn_of_estimate(why)
        return estimate_of(text)

    def __getstate__(self) -> dict[str, Any]:
        return {"_connection": self._connection, "_model_uid": self._model_uid, "_estimates": self._estimates}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()


class TokenCounting(ServedModelFields):
    """Token counting that never downloads a tokenizer, as LlamaIndex's default does."""

    @property
    def tokenizer(self) -> ServerTokenizer:
        """A callable for `Settings.tokenizer`, `TokenCountingHandler` and splitters: it counts as the server does."""
        return ServerTokenizer(self.connection, self.model_uid)

    def count_tokens(self, messages: Sequence[ChatMessage] | str, tools: Sequence[BaseTool] = ()) -> int:
        """Count the tokens of a prompt with these messages and tools, including the chat template.

        The count is exact on transformers, vLLM and SGLang. On other engines, and with images or audio, the number
        is an estimate of four characters per token, announced by an EstimateWarning.

        Args:
            messages: The conversation, or a text as the only question.
            tools: The tools that would be offered.

        Returns:
            The number of tokens.

        Raises:
            XinferenceError: The request failed.
        """
        asked, wire = self._asked(messages), [tool_to_wire(tool) for tool in tools]
        try:
            return self._handle(ChatHandle).count_tokens(asked, wire)
        except NOT_COUNTED as why:
            warn_of_estimate(why)
        return _estimate(asked, wire)

    async def acount_tokens(self, messages: Sequence[ChatMessage] | str, tools: Sequence[BaseTool] = ()) -> int:
        """Async version of `count_tokens`."""
        asked, wire = self._asked(messages), [tool_to_wire(tool) for tool in tools]
        try:
            return await self._handle(ChatHandle).acount_tokens(asked, wire)
        except NOT_COUNTED as why:
            warn_of_estimate(why)
        return _estimate(asked, wire)

    @staticmethod
    def _asked(messages: Sequence[ChatMessage] | str) -> list[Any]:
        asked = [ChatMessage(role="user", content=messages)] if isinstance(messages, str) else messages_of(messages)
        return list(messages_to_wire(asked))


def _estimate(messages: Sequence[Any], tools: Sequence[Any]) -> int:
    """Counts the text only: how many tokens an image takes is known to the model alone."""
    words = [part.get("text", "") for message in messages for part in _parts(message.get("content"))]
    return sum(estimate_of(word) for word in [*words, *map(str, tools)])


def _parts(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [{"text": content or ""}]
