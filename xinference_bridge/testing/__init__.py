"""Tests on recordings: a pytest plugin that records what a test and a Xinference server say, and replays it.

The plugin is `xinference_bridge.testing.plugin`; pytest loads it by itself. Without pytest:

Examples:
    >>> from pathlib import Path
    >>> with open_recording(Path("cassettes/answers.yaml"), REPLAY, record=False):
    ...     chat.invoke("What is the capital of France?").text
    'The capital of France is Paris.'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xinference_bridge.testing.cassettes import Recording, SecretInRecordingError, open_recording
    from xinference_bridge.testing.hygiene import findings
    from xinference_bridge.testing.network import NetworkBlockedError
    from xinference_bridge.testing.server import REPLAY, RecordedServer

#: Each imported at its first use: pytest imports this package in every run, and most runs use nothing of it.
_MODULES = {
    "REPLAY": "server",
    "NetworkBlockedError": "network",
    "RecordedServer": "server",
    "Recording": "cassettes",
    "SecretInRecordingError": "cassettes",
    "findings": "hygiene",
    "open_recording": "cassettes",
}

__all__ = [
    "REPLAY",
    "NetworkBlockedError",
    "RecordedServer",
    "Recording",
    "SecretInRecordingError",
    "findings",
    "open_recording",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
