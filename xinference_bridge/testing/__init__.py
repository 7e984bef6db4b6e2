"""Record and replay the HTTP traffic between a test and a Xinference server.

The plugin is `xinference_bridge.testing.plugin`; pytest loads it automatically. Without pytest, use `open_recording`
and `REPLAY`, for example to run a script with a recording.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xinference_bridge.testing.cassettes import Recording, SecretInRecordingError, open_recording
    from xinference_bridge.testing.hygiene import findings
    from xinference_bridge.testing.network import NetworkBlockedError
    from xinference_bridge.testing.server import REPLAY, RecordedServer

#: Imported on first use: pytest imports this package in every run, and most runs do not use it.
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
