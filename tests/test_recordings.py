"""The recordings in cassettes/ are clean, and each belongs to a test.

How they are made and played is tested in tests/recording/.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from xinference_bridge.testing import NetworkBlockedError, findings
from xinference_bridge.testing.network import GUARD

ROOT = Path(__file__).parent.parent
CASSETTES = ROOT / "cassettes"


def _recordings() -> list[Path]:
    return sorted(path for path in CASSETTES.rglob("*") if path.is_file() and path.name != "README.md")


@pytest.mark.slow
def test_no_recording_holds_a_credential_or_names_a_machine():
    found = {
        str(path.relative_to(ROOT)): said
        for path in _recordings()
        if (said := findings(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_every_recording_belongs_to_a_test(pytestconfig: pytest.Config, expected_recordings: set[Path]):
    whole = {str(pytestconfig.rootpath), str(pytestconfig.rootpath / "tests"), "tests"}
    if not set(pytestconfig.args) <= whole:
        pytest.skip("only a part of the suite runs, so the tests of the other recordings are not known")
    assert [path for path in _recordings() if path not in expected_recordings] == []


def test_the_network_is_blocked_here():
    with socket.socket() as sock, pytest.raises(NetworkBlockedError):
        sock.connect(("127.0.0.1", 9997))
    GUARD.attempts.clear()
    assert not [name for name in os.environ if name.startswith("XINFERENCE_")]
