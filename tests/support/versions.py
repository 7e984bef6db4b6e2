"""Tests of what an admitted dependency does from some version on: older ones lack it, and the test says so."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from packaging.requirements import Requirement


def has(requirement: str) -> bool:
    """Whether what is installed satisfies a requirement, such as "langchain-core>=1.6"."""
    wanted = Requirement(requirement)
    return wanted.specifier.contains(version(wanted.name), prereleases=True)


def needs(requirement: str, reason: str) -> pytest.MarkDecorator:
    """Skips on older versions; the reason says what these do."""
    return pytest.mark.skipif(not has(requirement), reason=f"needs {requirement}: {reason}")
