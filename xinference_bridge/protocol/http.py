"""Requests and responses as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from xinference_bridge.errors import XinferenceProtocolError
from xinference_bridge.protocol.multipart import Form

#: What a call requires of a model.
Ability = Literal[
    "chat", "generate", "embed", "rerank", "transcribe", "speak", "generate_image", "edit_image", "inpaint", "ocr"
]

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request: the path below the server's URL, and the JSON body."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    json: Mapping[str, Any] | None = None
    model_uid: str | None = None
    """The UID of the model, for errors."""
    ability: Ability | None = None
    """The required ability, so that an error can list the models that have it."""
    headers: tuple[tuple[str, str], ...] = ()
    first_input: int = 0
    """The place of the body's first `input` among all inputs of the call, for errors to name."""
    anonymous: bool = False
    """Whether it is sent without a credential, such as a login."""
    form: Form | None = None
    """What is sent in place of a JSON body where a file goes along."""
    stream_of: Literal["events", "bytes"] = "events"
    """What an answer that is streamed consists of."""


@dataclass(frozen=True, slots=True)
class Response:
    """One complete HTTP response, with lower-case header names."""

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
