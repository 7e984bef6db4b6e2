"""Convert a chat's messages for the token count endpoint, which has Anthropic's format. Pure.

4.1.0 turns them back into a chat's, and counts what the model's template makes of those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson

from xinference_bridge.errors import XinferenceUnsupportedError
from xinference_bridge.protocol.http import JSON, Request, Response
from xinference_bridge.protocol.shape_errors import unexpected_answer


def counted_messages(messages: Sequence[Mapping[str, Any]]) -> list[JSON]:
    """The same conversation in Anthropic's words: calls and results of tools are blocks of a message's content.

    Raises XinferenceUnsupportedError for a part that is no text: 4.1.0 counts none.
    """
    counted = [_counted(message) for message in messages]
    if counted and all(message["role"] == "system" for message in counted):
        # "Please specify the prompt" is answered to these alone; an empty question is a few tokens more.
        counted.append({"role": "user", "content": ""})
    return counted


def _counted(message: Mapping[str, Any]) -> JSON:
    role, text = message["role"], _text(message)
    if role == "tool":
        # Under the role "tool" it would be refused: Anthropic's users give the results.
        result = {"type": "tool_result", "tool_use_id": str(message.get("tool_call_id") or ""), "content": text}
        return {"role": "user", "content": [result]}
    calls = message.get("tool_calls")
    if not calls:
        return {"role": role, "content": text}
    # Left as they are, tool calls would be passed over in silence, and not counted.
    said: list[JSON] = [{"type": "text", "text": text}] if text else []
    return {"role": role, "content": [*said, *map(_use, calls)]}


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if not isinstance(content, list):
        return content or ""
    for part in content:
        if part.get("type") != "text":
            msg = f"The server cannot count the tokens of a content block of type {part.get('type')!r}."
            raise XinferenceUnsupportedError(msg)
    return "".join(part["text"] for part in content)


def _use(call: Mapping[str, Any]) -> JSON:
    function = call["function"]
    arguments: Any = function.get("arguments")
    if isinstance(arguments, str):
        with suppress(orjson.JSONDecodeError):  # models write broken ones
            arguments = orjson.loads(arguments)
    if arguments is None:
        arguments = {}
    elif not isinstance(arguments, dict):
        arguments = {"": arguments}  # no arguments, and counted all the same
    return {"type": "tool_use", "id": str(call.get("id") or ""), "name": str(function.get("name")), "input": arguments}


def count_tokens_request(uid: str, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None) -> Request:
    """Return the request for the prompt's token count: exact on transformers, vLLM and SGLang, 501 on llama.cpp."""
    body: JSON = {"model": uid, "messages": counted_messages(messages)}
    if tools:
        body["tools"] = tools
    # The endpoint is Anthropic's, and asks for Anthropic's header.
    headers = (("anthropic-version", "2023-06-01"),)
    return Request("POST", "/v1/messages/count_tokens", body, model_uid=uid, ability="chat", headers=headers)


def token_count_from_response(response: Response) -> int:
    """Return the number of tokens."""
    data = response.json()
    count = data.get("input_tokens") if isinstance(data, Mapping) else None
    if not isinstance(count, int):
        raise unexpected_answer(response, "a number under 'input_tokens'")
    return count
