"""`POST /v1/completions`: prompt → request, answer → result. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xinference_bridge.protocol.chat.accumulator import ChatAccumulator, _only_choice
from xinference_bridge.protocol.chat.result import ChatResult
from xinference_bridge.protocol.http import Request
from xinference_bridge.protocol.shape_errors import wrong_shape


def completion_request(uid: str, prompt: str, parameters: Mapping[str, Any]) -> Request:
    """Return the request for a completion, without a chat template."""
    body = {"model": uid, "prompt": prompt, **parameters}
    return Request("POST", "/v1/completions", body, model_uid=uid, ability="generate")


def completion_result_from_wire(body: Mapping[str, Any]) -> ChatResult:
    """The answer of a completion call that was not streamed; its text is as the model wrote it, tags and all.

    Raises XinferenceProtocolError if it has no choice or is invalid.
    """
    choice = _only_choice(body)
    if type(choice.get("text")) is not str:
        raise wrong_shape("text", "a string", choice.get("text"))
    return ChatAccumulator(tools=False, completion=True).whole(body, choice)
