"""What callers pass, checked before llama-index-core reports it: its events consume generators and raise raw errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

from llama_index.core.base.llms.types import ChatMessage

from xinference_bridge.errors import XinferenceConfigurationError

Method = TypeVar("Method", bound=Callable[..., Any])


def checked(name: str, check: Callable[[Any], Any]) -> Callable[[Method], Method]:
    """Decorate a method, sync or async, so that it gets what `check` returns for its first argument, called `name`."""

    def decorated(method: Method) -> Method:
        def told(given: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            if given:
                return (check(given[0]), *given[1:]), keywords
            if name in keywords:
                return given, {**keywords, name: check(keywords[name])}
            return given, keywords

        @wraps(method)
        def called(self: Any, *given: Any, **keywords: Any) -> Any:
            given, keywords = told(given, keywords)
            return method(self, *given, **keywords)

        @wraps(method)
        async def acalled(self: Any, *given: Any, **keywords: Any) -> Any:
            given, keywords = told(given, keywords)
            return await method(self, *given, **keywords)

        return cast("Method", acalled if iscoroutinefunction(method) else called)

    return decorated


def conversation(messages: object) -> Sequence[ChatMessage]:
    """Return the messages as a list or tuple of at least one.

    Raises:
        XinferenceConfigurationError: There is none, or one of them is no ChatMessage.
    """
    listed = messages_of(messages)
    if not listed:
        raise XinferenceConfigurationError("messages must hold at least one ChatMessage, and is empty")
    return listed


def messages_of(messages: object) -> Sequence[ChatMessage]:
    """Return the messages, if any, as a list or tuple; a generator is read.

    Raises:
        XinferenceConfigurationError: It is no list, or one of them is no ChatMessage.
    """
    if isinstance(messages, (str, bytes, Mapping, ChatMessage)) or not isinstance(messages, Iterable):
        msg = f"messages must be a list of ChatMessage, got {type(messages).__name__}"
        raise XinferenceConfigurationError(msg)
    listed: Sequence[Any] = messages if isinstance(messages, (list, tuple)) else list(messages)
    for place, message in enumerate(listed):
        if not isinstance(message, ChatMessage):
            kind = type(message).__name__
            msg = f"message {place} of messages must be a ChatMessage, got {kind}: give ChatMessage(role=…, content=…)"
            raise XinferenceConfigurationError(msg)
    return listed


def prompt_text(prompt: object) -> str:
    """Return the prompt.

    Raises:
        XinferenceConfigurationError: It is no string.
    """
    if not isinstance(prompt, str):
        raise XinferenceConfigurationError(f"prompt must be a string, got {type(prompt).__name__}")
    return prompt
