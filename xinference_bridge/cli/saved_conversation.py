"""The file format of saved conversations, for `/save` and `/load`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xinference_bridge.errors import XinferenceConfigurationError

if TYPE_CHECKING:
    from xinference_bridge.cli.conversation import Conversation

_FORMAT = "xinference-bridge conversation 1"
_ROLES = frozenset({"user", "assistant"})


def save(conversation: Conversation, path: Path) -> None:
    """Write the model, system prompt, parameters and turns as JSON.

    Raises:
        XinferenceConfigurationError: The path is another kind of file, or cannot be written.
    """
    if path.exists() and path != conversation.file and not _is_conversation(path):
        raise XinferenceConfigurationError(f"{path} exists and is not a saved conversation; choose another name")
    content = {
        "format": _FORMAT,
        "model": conversation.uid,
        "system": conversation.system,
        "parameters": conversation.parameters,
        "messages": conversation.turns,
    }
    try:
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise XinferenceConfigurationError(f"{path}: {error.strerror}") from None
    conversation.file = path


def load(conversation: Conversation, path: Path) -> None:
    """Read the system prompt, parameters and turns from the file. The current model stays.

    Raises:
        XinferenceConfigurationError: The file does not exist, or is not a saved conversation.
    """
    content = _content(path)
    conversation.system = content.get("system")
    conversation.parameters = dict(content["parameters"])
    conversation.turns = list(content["messages"])
    conversation.file = path


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise XinferenceConfigurationError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):  # no JSON, or nested too deeply
        content = None
    if not isinstance(content, dict) or content.get("format") != _FORMAT or not _is_whole(content):
        raise XinferenceConfigurationError(f"{path} is not a conversation that /save wrote")
    return content


def _is_whole(content: dict[str, Any]) -> bool:
    messages = content.get("messages")
    return (
        isinstance(content.get("parameters"), dict)
        and isinstance(content.get("system"), (str, type(None)))
        and isinstance(messages, list)
        and all(isinstance(message, dict) and message.get("role") in _ROLES for message in messages)
    )


def _is_conversation(path: Path) -> bool:
    try:
        _content(path)
    except XinferenceConfigurationError:
        return False
    return True
