"""The lab's folders: its state is in the checkout, everything that is expensive to build in the user's cache."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

LAB = Path(__file__).resolve().parent
ROOT = LAB.parent

STATE = ROOT / (os.environ.get("LAB_STATE") or ".lab")
"""Everything that belongs to one running lab. Git-ignored, and safe to delete after the lab is stopped.

A second lab uses another folder, set with LAB_STATE.
"""

ENV_FILE = STATE / "env"
SERVER_FILE = STATE / "server.json"
LOG_FILE = STATE / "server.log"
LOCK_FILE = STATE / "lock"
HOME = STATE / "home"
"""The server's XINFERENCE_HOME: accounts, keys, registered families."""


def worker_home(name: str) -> Path:
    """Return the home of a cluster's worker. Each worker needs a separate one."""
    return STATE / f"worker-{name}"


def worker_log(name: str) -> Path:
    """Return the log file of a cluster's worker."""
    return STATE / f"worker-{name}.log"


DEFAULT_XINFERENCE = "4.1.0"


def cache_folder() -> Path:
    """Return the folder for environments and trained models, named by hashes. It outlives checkouts."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "xinference-bridge"


def requirements_file(version: str) -> Path:
    """Return the file with the pins of the lab's environment for one Xinference version."""
    return LAB / "requirements" / f"{version}.txt"


def addition_file(version: str, addition: str) -> Path:
    """Return the file with the pins of an addition to that environment."""
    return LAB / "requirements" / f"{version}-{addition}.txt"


def environment_folder(version: str) -> Path:
    """Return the environment's folder, named by version, Python and pins. A changed pin creates a new environment."""
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    return cache_folder() / "envs" / f"xinference-{version}-{python}-{digest([requirements_file(version)])}"


def digest(files: list[Path], *extra: str) -> str:
    """Return a hash of ten hex digits over the files' bytes and the extra strings, in the given order."""
    h = hashlib.sha256()
    for file in files:
        h.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    for text in extra:
        h.update(text.encode() + b"\0")
    return h.hexdigest()[:10]
