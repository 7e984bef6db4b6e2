"""The lab as the tests see it: the running one, or the placeholders that stand for it in the recordings."""

from __future__ import annotations

from dataclasses import dataclass

from lab.paths import DEFAULT_XINFERENCE
from xinference_bridge.testing import RecordedServer


@dataclass(frozen=True)
class Lab(RecordedServer):
    """The server that a test talks to."""

    version: str = DEFAULT_XINFERENCE
    """Which Xinference it is."""
    models: frozenset[str] = frozenset()
    """The UIDs that run there; none are known under replay."""


REPLAY = Lab()
