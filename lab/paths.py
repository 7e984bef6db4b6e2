"""Where the lab keeps things: its state beside the checkout, what is costly to make in the user's cache."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

LAB = Path(__file__).resolve().parent
ROOT = LAB.parent

STATE = ROOT / (os.environ.get("LAB_STATE") or ".lab")
"""Everything that belongs to one running lab; git-ignored, safe to delete once the lab is stopped.

A second lab beside the first has another one, which LAB_STATE names.
"""

ENV_FILE = STATE / "env"
SERVER_FILE = STATE / "server.json"
LOG_FILE = STATE / "server.log"
LOCK_FILE = STATE / "lock"
HOME = STATE / "home"
"""The server's XINFERENCE_HOME: accounts, keys, registered families."""


def worker_home(name: str) -> Path:
    """The home of a cluster's worker: each needs one of its own."""
    return STATE / f"worker-{name}"


def worker_log(name: str) -> Path:
    """What a cluster's worker prints."""
    return STATE / f"worker-{name}.log"


DEFAULT_XINFERENCE = "4.1.0"


def cache_folder() -> Path:
    """The folder that outlives checkouts: environments and trained models, each named by a hash of its sources."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "xinference-bridge"


def requirements_file(version: str) -> Path:
    """The pins of the lab's environment for one Xinference version."""
    return LAB / "requirements" / f"{version}.txt"


def addition_file(version: str, addition: str) -> Path:
    """The pins of what is installed into that environment afterwards."""
    return LAB / "requirements" / f"{version}-{addition}.txt"


def environment_folder(version: str) -> Path:
    """Named by version, Python and the pins: changing a pin makes a new environment and leaves the old one alone."""
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    return cache_folder() / "envs" / f"xinference-{version}-{python}-{digest([requirements_file(version)])}"


def digest(files: list[Path], *extra: str) -> str:
    """Ten hex digits over the files' bytes and the extra strings, in the order given."""
    h = hashlib.sha256()
    for file in files:
        h.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    for text in extra:
        h.update(text.encode() + b"\0")
    return h.hexdigest()[:10]
