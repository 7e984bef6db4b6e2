"""Chat deltas in, the growing message out: one reader for streamed and whole answers, sync and async."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xinference_bridge.tags import Start


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens counted by the server; None for what it does not count."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(slots=True)
class ToolCallDelta:
    """A fragment of a tool call: the first one of an index carries `id` and `name`, later ones None for both."""

    index: int
    id: str | None
    name: str | None
    arguments: str


@dataclass(slots=True)
class ToolCall:
    """A whole tool call: `arguments` is the JSON text of an object, unless `error` says why it is not.

    `name` is "" when the model gave none.
    """

    id: str
    name: str
    arguments: str
    error: str | None = None


@dataclass(slots=True)
class ChatResult:
    """The whole answer, streamed or not; the deltas of a stream, joined, equal it."""

    text: str
    reasoning: str
    tool_calls: list[ToolCall]
    finish_reason: str | None
    usage: Usage | None
    logprobs: list[dict[str, Any]] | None
    id: str | None
    created: int | None
    model_replica: str | int | None
    system_fingerprint: str | None
    raw: dict[str, Any]


@dataclass(slots=True)
class ChatDelta:
    """What one chunk adds; `final` is the whole answer, and only `ChatAccumulator.finish` gives it."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCallDelta] = field(default_factory=list)
    logprobs: list[dict[str, Any]] | None = None
    final: ChatResult | None = None


class ChatAccumulator:
    """Reads the chunks of one answer in order and tells what each adds."""

    done: bool

    def __init__(self, *, tools: bool, start: Start = "text", completion: bool = False) -> None:
        raise NotImplementedError

    @property
    def text(self) -> str:
        """The answer's text so far."""
        raise NotImplementedError

    def feed(self, event: Mapping[str, Any]) -> ChatDelta | None:
        """What this chunk adds; None when it adds nothing. Raises XinferenceProtocolError on another shape."""
        raise NotImplementedError

    def mark_done(self) -> None:
        """Notes that the server said `[DONE]`."""
        raise NotImplementedError

    def finish(self) -> ChatDelta:
        """What was held back, and the whole answer as `final`.

        Raises XinferenceStreamError, with the text so far, when the stream gave neither a finish_reason nor `[DONE]`.
        """
        raise NotImplementedError


def chat_result_from_wire(body: Mapping[str, Any], *, tools: bool, start: Start = "text") -> ChatResult:
    """The answer of a chat call that was not streamed.

    Raises XinferenceProtocolError when it has no choice or another shape.
    """
    raise NotImplementedError


def completion_result_from_wire(body: Mapping[str, Any]) -> ChatResult:
    """The answer of a completion call that was not streamed; its text is as the model wrote it, tags and all."""
    raise NotImplementedError
