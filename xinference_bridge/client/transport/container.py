"""Where this program runs: told apart only where an error message must differ."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def inside_container() -> bool:
    """Return whether this process runs in a Docker, Podman or Kubernetes container, as far as a look can tell."""
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return True
    return any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv"))
