"""What the site says of itself that another file knows: the version, and where the repository is."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def on_config(config: Any) -> Any:
    """Put the version into the footer and the head, and the repository's address into the header."""
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    config.copyright = f"xinference-bridge {version[1]} · Apache License 2.0"
    config.extra["version_shown"] = version[1]
    address = repository()
    if address and not config.repo_url:
        config.repo_url = address
        config.repo_name = address.removeprefix("https://").partition("/")[2] or address
    return config


def repository() -> str | None:
    """Return the address of the repository that this is a clone of; None where it is the original."""
    if os.environ.get("REPOSITORY_URL"):
        return os.environ["REPOSITORY_URL"]
    git = subprocess.run(  # noqa: S603 - a fixed command
        ["git", "-C", str(ROOT), "remote", "get-url", "origin"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return web_address(git.stdout.strip())


def web_address(remote: str) -> str | None:
    """Return the page of a git remote; None where it has none, such as a folder."""
    if found := re.match(r"(?:ssh://)?git@([\w.-]+)[:/](.+?)(?:\.git)?/?$", remote):
        return f"https://{found[1]}/{found[2]}"
    if found := re.match(r"https://(?:[^@/]+@)?(.+?)(?:\.git)?/?$", remote):
        return f"https://{found[1]}"
    return None
