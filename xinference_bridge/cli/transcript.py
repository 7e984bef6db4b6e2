"""A conversation as a file: what `/save` writes and `/load` reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xinference_bridge.protocol.chat.messages import WireMessage

_ROLES = ("user", "assistant")


def write(path: Path, *, model: str, system: str | None, parameters: dict[str, Any], turns: list[WireMessage]) -> None:
    """Write a conversation as JSON.

    Raises:
        ValueError: The file exists and is no saved conversation.
        OSError: It cannot be written.
    """
    if path.exists():
        read(path)  # never overwrite what is something else
    saved = {"model": model, "system": system, "parameters": parameters, "messages": turns}
    path.write_text(json.dumps(saved, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Return a saved conversation: `model`, `system`, `parameters` and `messages`.

    Raises:
        ValueError: The file is no saved conversation.
        OSError: It cannot be read.
    """
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        saved = None
    if not _is_conversation(saved):
        raise ValueError(f"{path} is not a conversation that /save wrote")
    found: dict[str, Any] = saved
    return found


def _is_conversation(saved: Any) -> bool:
    if not isinstance(saved, dict) or not isinstance(saved.get("messages"), list):
        return False
    said = all(
        isinstance(message, dict) and message.get("role") in _ROLES and isinstance(message.get("content"), str)
        for message in saved["messages"]
    )
    return said and isinstance(saved.get("parameters"), dict) and isinstance(saved.get("system"), str | None)
