"""Detects containers, for error messages."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def inside_container() -> bool:
    """Return whether this process seems to run in a Docker, Podman or Kubernetes container."""
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return True
    return any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv"))
