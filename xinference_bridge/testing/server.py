"""The server of a recorded test: the real one while recording, placeholders during a replay."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

REPLAY_URL = "http://127.0.0.1:9997"
CREDENTIALS_LINE = "credentials: "
"""The beginning of a recording's first line if only some of the credentials were set."""


@dataclass(frozen=True)
class RecordedServer:
    """The address and the credentials that a test uses.

    The defaults are the placeholders that replace the real values in recordings.
    """

    url: str = REPLAY_URL
    api_key: str = field(default="xf-lab-key", repr=False)
    username: str = field(default="lab-user", repr=False)
    password: str = field(default="lab-password", repr=False)
    live: bool = False
    """Whether requests reach a real server: while recording, or with `--xinference-live`."""

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port for a socket."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def credentials(self) -> tuple[str, ...]:
        """Return the names of the credentials that are set."""
        return tuple(name for name in ("api_key", "username", "password") if getattr(self, name))

    def environment(self) -> dict[str, str]:
        """Return the environment variables for a connection to this server. An empty value means unset."""
        return {
            "XINFERENCE_ENDPOINT": self.url,
            "XINFERENCE_API_KEY": self.api_key,
            "XINFERENCE_USERNAME": self.username,
            "XINFERENCE_PASSWORD": self.password,
        }


REPLAY = RecordedServer()


def server_of_recording(path: Path) -> RecordedServer:
    """Return the placeholders for a replay, only for the credentials that were set while recording."""
    if not path.exists():
        return REPLAY
    with path.open(encoding="utf-8") as lines:
        first = lines.readline().strip()
    if not first.startswith(CREDENTIALS_LINE):
        return REPLAY
    had = first.removeprefix(CREDENTIALS_LINE).strip("[]").split(", ")
    missing: dict[str, Any] = {name: "" for name in REPLAY.credentials if name not in had}
    return replace(REPLAY, **missing)
