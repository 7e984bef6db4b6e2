"""What travels: requests and responses as plain values, and the JSON shapes of the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import orjson

from xinference_bridge.errors import XinferenceProtocolError

#: What a call needs of a model. The server's own words for it stand in `models.NEEDED`.
Ability = Literal["chat", "generate", "embed", "rerank"]

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, not yet sent: the path below the server's URL, and the JSON body."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    json: Mapping[str, Any] | None = None
    model_uid: str | None = None
    """The model that is asked, for errors to name."""
    ability: Ability | None = None
    """What the model is asked for, so that an error can name models that could do it."""
    headers: tuple[tuple[str, str], ...] = ()
    anonymous: bool = False
    """Sent without a credential: logging in, and asking whether one is needed."""


@dataclass(frozen=True, slots=True)
class Response:
    """One whole HTTP answer. `headers` are found by their lower-case names, however the server spelt them."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    url: str = ""
    request_id: str | None = None

    def json(self) -> Any:
        """The body as JSON; raises XinferenceProtocolError that shows how it begins when it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as broken:
            beginning = self.body[:120].decode("utf-8", "replace")
            msg = (
                f"{self.url} answered {self.status} with what is not JSON ({broken}): {beginning!r}. Is server_url a "
                "Xinference server, and does a proxy in between pass its answers on whole?"
            )
            raise XinferenceProtocolError(
                msg, url=self.url, status_code=self.status, request_id=self.request_id, body=beginning
            ) from None


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What one call states differently from its connection; None is the connection's own."""

    timeout: float | None = None
    connect_timeout: float | None = None
    deadline: float | None = None
    max_retries: int | None = None


DEFAULT_OPTIONS = CallOptions()


class WireFunctionCall(TypedDict):
    """The function of a tool call; `arguments` is JSON as text."""

    name: str
    arguments: str


class WireToolCall(TypedDict):
    """A tool call in an assistant message that is sent back."""

    id: str
    type: Literal["function"]
    function: WireFunctionCall


class WireMessage(TypedDict, total=False):
    """One message of a chat; `role` is always there, `content` is text or a list of parts."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[JSON] | None
    name: str
    tool_calls: list[WireToolCall]
    tool_call_id: str
    reasoning_content: str


class WireFunction(TypedDict, total=False):
    """What a tool is: a name, a description, and a JSON schema of its parameters."""

    name: str
    description: str
    parameters: JSON
    strict: bool


class WireTool(TypedDict):
    """A tool as the server takes it."""

    type: Literal["function"]
    function: WireFunction


@dataclass(slots=True)
class Embeddings:
    """One vector a text, in input order, and what the server says of the model."""

    vectors: list[list[float]]
    sparse: list[dict[str, float]] | None = None
    raw: JSON = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RerankResult:
    """How relevant one document is: its place in the list that was sent, and the score."""

    index: int
    relevance_score: float
