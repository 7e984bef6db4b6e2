"""One place explains how to install the package, before and after the first release."""

from __future__ import annotations

import re

from tests.docs.conftest import ROOT

INCLUDES = ROOT / "docs" / "includes" / "install.md"
#: These pages explain how to install other packages with this one, or mention a version of it.
_OWN_WORDS = ("docs/includes/install.md", "docs/changelog.md")


def test_no_other_page_says_how_to_install_the_package():
    elsewhere = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "docs").rglob("*.md")
        if re.search(r"^\s*(pip|uv pip) install .*xinference-bridge", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert [name for name in elsewhere if name not in _OWN_WORDS] == []


def test_the_readme_has_the_same_install_instructions():
    [said] = re.findall(
        r"\[start:all\] -->\n(.*?)<!-- --8<-- \[end:all\]", INCLUDES.read_text(encoding="utf-8"), re.DOTALL
    )
    assert said.strip() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_each_include_is_one_that_exists():
    sections = set(re.findall(r"\[start:(\w+)\]", INCLUDES.read_text(encoding="utf-8")))
    used = {
        section
        for path in (ROOT / "docs").rglob("*.md")
        for section in re.findall(r'--8<-- "docs/includes/install\.md:(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert used == sections
