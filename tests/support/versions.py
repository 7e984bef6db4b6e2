"""Skips tests of features that older supported versions of a dependency lack."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from packaging.requirements import Requirement


def has(requirement: str) -> bool:
    """Return whether the installed package satisfies a requirement, such as "langchain-core>=1.6"."""
    wanted = Requirement(requirement)
    return wanted.specifier.contains(version(wanted.name), prereleases=True)


def needs(requirement: str, reason: str) -> pytest.MarkDecorator:
    """Return a marker that skips the test on older versions. The reason describes what these do."""
    return pytest.mark.skipif(not has(requirement), reason=f"needs {requirement}: {reason}")
