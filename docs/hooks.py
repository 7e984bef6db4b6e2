"""Settings of the site that come from other files: the version, and the repository's URL."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
#: The one place with the repository's URL; RELEASING.md says when it is filled in.
REPOSITORY = ROOT / "docs" / "includes" / "repository.txt"


def on_config(config: Any) -> Any:
    """Put the version into the footer, and the repository's URL into the header."""
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    config.copyright = f"xinference-bridge {version[1]} · Apache License 2.0"
    config.extra["version_shown"] = version[1]
    if url := repository():
        config.repo_url = url
        config.repo_name = url.removeprefix("https://").partition("/")[2] or url
    return config


def repository(text: str | None = None) -> str | None:
    """Return the repository's URL; None before it is published.

    Args:
        text: The content of the file. None: read it.

    Raises:
        ValueError: The file has something other than one https:// URL and comments.
    """
    if text is None:
        text = os.environ.get("REPOSITORY_URL") or REPOSITORY.read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        return None
    if len(lines) > 1 or not re.fullmatch(r"https://[\w.-]+/\S+", lines[0]):
        raise ValueError(f"{REPOSITORY}: must contain one https:// URL, got {lines}")
    return lines[0].rstrip("/").removesuffix(".git")
