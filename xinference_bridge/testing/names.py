"""The paths of recordings."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

_LONGEST_NAME = 120


def cassette_path(folder: Path, module: Path, name: str) -> Path:
    """Return the path of a test's recording. `module` is its path below tests/, `name` the rest of the test's id."""
    return folder / module.with_suffix("") / cassette_name(name)


def cassette_name(name: str) -> str:
    """Return the file name of the recording for a test with this name."""
    safe = re.sub(r"-+", "-", re.sub(r"[^\w.]+", "-", name.replace("::", "."))).strip("-.")
    if len(safe) > _LONGEST_NAME:
        safe = f"{safe[:_LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"{safe}.yaml"
