"""A test suite with this suite's conftest: recorded, replayed, live, and with the network blocked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recording.tools import KEY
from tests.support.lab import REPLAY

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Run a separate suite with this suite's conftest, with the server's address in the environment."""
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text())
    pytester.makepyprojecttoml((ROOT / "pyproject.toml").read_text())
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("XINFERENCE_API_KEY", KEY)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # half of the time of a run; those that matter are named
    plugins = [
        part for name in ("pytest_asyncio.plugin", "pytest_recording.plugin", "pytest_socket") for part in ("-p", name)
    ]

    def run(source: str, *options: str, endpoint: str = REPLAY.url) -> pytest.RunResult:
        monkeypatch.setenv("XINFERENCE_ENDPOINT", endpoint)
        imports = "import pytest, requests, aiohttp, socket, threading\nfrom http.server import *\n"
        pytester.makepyfile(test_inner=imports + source)
        return pytester.runpytest_subprocess(".", *plugins, *options)

    return run


@pytest.mark.slow
@pytest.mark.fault_server
def test_recording_then_replaying_then_missing_then_leaving_out(suite, server, pytester):
    asks = """
@pytest.mark.server
@pytest.mark.parametrize("n", [1, 2])
def test_ask(lab, n):
    assert requests.post(lab.url + "/x", json={"n": n}, timeout=5).ok
"""
    written = [pytester.path / "cassettes" / "test_inner" / f"test_ask-{n}.yaml" for n in (1, 2)]

    suite(asks).assert_outcomes(failed=2)  # nothing is recorded: nothing is replayed, and no real request is sent
    assert server.seen == []
    suite(asks, "--record=anew", endpoint=server.url).assert_outcomes(passed=2)
    assert [path for _, path, _ in server.seen] == ["/v1/models", "/x", "/x"]
    assert all(path.exists() for path in written)
    suite(asks).assert_outcomes(passed=2)
    written[0].unlink()
    suite(asks, "--record=missing", endpoint=server.url).assert_outcomes(passed=1, deselected=1)
    server.seen.clear()
    suite(asks.replace("/x", "/y"), "--live", endpoint=server.url).assert_outcomes(passed=2)
    assert [path for _, path, _ in server.seen] == ["/v1/models", "/y", "/y"]

    swallowed = (
        asks.replace("    assert", "    try: ").replace(".ok", "\n    except Exception: pass").replace("/x", "/y")
    )
    result = suite(swallowed)
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(["*Passed, but asked for what is not recorded:*"])

    result = suite(asks.replace("    assert", "    0 and"))
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(["*Recorded, but never asked for:*"])

    before = [path.read_text() for path in written]
    suite(
        asks.replace('"n": n', '"n": -n').replace(".ok", ".ok is None"), "--record=anew", endpoint=server.url
    ).assert_outcomes(failed=2)
    assert [path.read_text() for path in written] == before  # the traffic of a failing test is not saved
    suite(asks.replace('"n": n', '"n": -n'), "--record=anew", "-k", "1", endpoint=server.url).assert_outcomes(
        passed=1, deselected=1
    )
    assert [path.read_text() == old for path, old in zip(written, before, strict=True)] == [False, True]


@pytest.mark.slow
@pytest.mark.fault_server
def test_what_each_marker_lets_a_test_reach(suite, server):
    result = suite(
        """
@pytest.fixture
def own():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[:2]

def reach(address):
    with socket.socket() as sock:
        sock.settimeout(5)
        sock.connect((socket.gethostbyname(address[0]), address[1]))

def test_unmarked_blocked(own):
    with pytest.raises(RuntimeError, match="may not reach"):
        reach(own)

def test_unmarked_swallowed(own):
    try: reach(own)
    except RuntimeError: pass

@pytest.mark.fault_server
def test_fault_server_own_port(own):
    reach(own)

@pytest.mark.fault_server
def test_fault_server_the_lab_is_blocked(lab):
    reach(lab.address)

@pytest.mark.fault_server
def test_fault_server_outside_is_blocked():
    reach(("192.0.2.1", 80))

@pytest.mark.server
def test_server_live(lab):
    reach(lab.address)

@pytest.mark.server
def test_server_own_port_is_blocked(own):
    reach(own)

async def test_an_event_loop_can_be_made():
    left, right = socket.socketpair()
    left.close(), right.close()

async def test_aiohttp_is_blocked(own):
    async with aiohttp.ClientSession() as session:
        await session.get("http://%s:%d" % own, timeout=aiohttp.ClientTimeout(5))

def test_names_are_not_looked_up():
    reach(("example.org", 80))

@pytest.mark.fault_server
def test_a_name_that_cannot_be_is_not_found():
    with pytest.raises(socket.gaierror):
        reach(("xinference.invalid", 80))
""",
        "--live",
        "-v",
        endpoint=server.url,
    )
    said = [line.split("::")[1].split()[:2] for line in result.outlines if line.startswith("test_inner.py::")]
    assert {name for name, outcome in said if outcome == "PASSED"} == {
        "test_unmarked_blocked",
        "test_unmarked_swallowed",
        "test_fault_server_own_port",
        "test_server_live",
        "test_an_event_loop_can_be_made",
        "test_a_name_that_cannot_be_is_not_found",
    }
    # Passed, but had tried: the error was expected or swallowed, the attempt is not.
    assert {name for name, outcome in said if outcome == "ERROR"} == {
        "test_unmarked_blocked",
        "test_unmarked_swallowed",
    }
    result.assert_outcomes(passed=6, failed=5, errors=2)


@pytest.mark.slow
@pytest.mark.fault_server
def test_without_live_even_the_lab_is_out_of_reach(suite, server):
    result = suite(
        """
@pytest.mark.server
def test_server(lab):
    assert not lab.live
    assert lab.url == "http://127.0.0.1:9997"
    import os
    assert not [name for name in os.environ if name.startswith("XINFERENCE")]

@pytest.mark.server
def test_behind_the_recording(lab):
    with socket.socket() as sock:
        sock.connect(lab.address)
""",
        endpoint=server.url,
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*NetworkBlockedError: This test may not reach 127.0.0.1:9997*"])


@pytest.mark.slow
def test_recording_without_a_lab_says_how_to_get_one(suite):
    result = suite("def test_nothing(): pass", "--record=anew", endpoint="")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*XINFERENCE_ENDPOINT is not set: start one with `make lab`*"])


@pytest.mark.slow
def test_no_test_may_share_its_recording_with_another(suite):
    result = suite('@pytest.mark.server\n@pytest.mark.parametrize("x", ["a b", "a-b"])\ndef test_it(x): pass')
    result.stderr.fnmatch_lines(["*would share the recording*"])
