"""What of a framework came only with a later version than the oldest one that is admitted."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from packaging.version import Version


def since(package: str, first: str, why: str) -> pytest.MarkDecorator:
    """Skips a test with an older version of the package, and says what that one lacks."""
    installed = version(package)
    return pytest.mark.skipif(Version(installed) < Version(first), reason=f"{package} {installed}: {why}")
