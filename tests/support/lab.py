"""The lab for the tests: the running one, or the placeholders in the recordings."""

from __future__ import annotations

from dataclasses import dataclass

from lab.paths import DEFAULT_XINFERENCE
from xinference_bridge.testing import RecordedServer


@dataclass(frozen=True)
class Lab(RecordedServer):
    """The server of a test."""

    version: str = DEFAULT_XINFERENCE
    """The version of Xinference."""
    models: frozenset[str] = frozenset()
    """The UIDs of the running models; unknown during a replay."""


REPLAY = Lab()
