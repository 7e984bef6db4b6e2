"""The answer of a chat or completion, and its deltas. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xinference_bridge.protocol.chat.tool_calls import ToolCall, ToolCallDelta


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts from the server; None for unknown counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(slots=True)
class ChatResult:
    """The complete answer, streamed or not.

    `logprobs` has one entry a token, as the server sent it. `raw` is the answer's JSON, or of a stream what the last
    chunk said beside its choices.
    """

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
    request_id: str | None = None
    """The id of the HTTP request in the server's log."""
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The HTTP response's headers, with lower-case names."""


@dataclass(slots=True)
class ChatDelta:
    """The content of one chunk. `final` is the complete answer, only in the last delta."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCallDelta] = field(default_factory=list)
    logprobs: list[dict[str, Any]] | None = None
    final: ChatResult | None = None
