"""A user's project with only the plugin: recorded on a small server, replayed without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import langchain_xinference_bridge.chat_models  # noqa: F401 - once, and not again in each inner run
from tests.recording.tools import KEY
from xinference_bridge.testing import findings

ASKS = """
import pytest
from langchain_xinference_bridge import ChatXinference

@pytest.mark.xinference_recording
def test_it():
    assert "Paris" in ChatXinference(model="qwen3").invoke("What is the capital of France?").text
"""
ANSWER = (
    b'{"id": "1", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop", '
    b'"message": {"role": "assistant", "content": "It is Paris."}}]}'
)
PLAIN = """
import pytest, requests

@pytest.mark.xinference_recording
def test_it(xinference_server):
    answer = requests.post(xinference_server.url + "/x", json={"n": 1, "key": xinference_server.api_key}, timeout=5)
    assert answer.json()
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Runs the tests of a project that has the plugin, and no setting."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent.parent.parent), "."]))
    for name in ("XINFERENCE_ENDPOINT", "XINFERENCE_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def run(source: str, *options: str, apart: bool = False, **environment: str) -> pytest.RunResult:
        pytester.makepyfile(test_app=source)
        # Inside this process it takes a tenth of the time, but there the network is guarded already.
        started = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(f"XINFERENCE_{name}", value)
            return started("-p", "xinference_bridge.testing.plugin", *options)

    return run


@pytest.mark.slow
@pytest.mark.fault_server
def test_a_recorded_test_replays_without_the_server_and_without_the_secret(project, server, pytester):
    project(PLAIN, "--xinference-record=missing", ENDPOINT=server.url, API_KEY=KEY).assert_outcomes(passed=1)
    assert KEY.encode() in server.seen[0][2]
    written = (pytester.path / "cassettes" / "test_app" / "test_it.yaml").read_text()
    assert KEY not in written
    assert findings(written) == []
    server.seen.clear()
    project(PLAIN).assert_outcomes(passed=1)
    project(PLAIN, "--xinference-record=missing", ENDPOINT=server.url, API_KEY=KEY).assert_outcomes(deselected=1)
    project(PLAIN, "--xinference-live", ENDPOINT=server.url, API_KEY=KEY).assert_outcomes(passed=1)
    assert len(server.seen) == 1


@pytest.mark.slow
@pytest.mark.fault_server
@pytest.mark.parametrize("credentials", [{}, {"API_KEY": KEY}], ids=["open server", "key"])
def test_what_reads_the_environment_is_pointed_at_the_recording(project, server, credentials):
    server.answers["/v1/chat/completions"] = ("application/json", ANSWER)
    project(ASKS, "--xinference-record=anew", ENDPOINT=server.url, **credentials).assert_outcomes(passed=1)
    project(ASKS).assert_outcomes(passed=1)


@pytest.mark.slow
@pytest.mark.fault_server
def test_a_request_too_many_and_one_too_few_are_reported_though_the_test_passes(project, server):
    project(PLAIN, "--xinference-record=anew", ENDPOINT=server.url).assert_outcomes(passed=1)
    few = project("import pytest\n@pytest.mark.xinference_recording\ndef test_it(): pass")
    few.assert_outcomes(passed=1, errors=1)
    few.stdout.fnmatch_lines(["*Recorded, but never asked for:*", "*POST /x*", "*--xinference-record=anew*test_it*"])
    many = project(
        PLAIN + "    try: requests.get(xinference_server.url + '/y', timeout=5)\n    except Exception: pass\n"
    )
    many.assert_outcomes(passed=1, errors=1)
    many.stdout.fnmatch_lines(["*Passed, but asked for what is not recorded:*", "*GET /y*"])


@pytest.mark.slow
@pytest.mark.fault_server
def test_in_replay_loopback_can_be_reached_and_the_network_cannot(project, server):
    project(PLAIN, "--xinference-record=anew", ENDPOINT=server.url).assert_outcomes(passed=1)
    result = project(
        PLAIN
        + f"""
    import socket
    socket.create_connection(("127.0.0.1", {server.server_port}), 5).close()
    for address in [("192.0.2.1", 80), ("127.0.0.1", 9997), ("example.org", 80)]:
        with pytest.raises(RuntimeError, match="may not reach"):
            socket.create_connection(address, 5)

def test_an_unmarked_test_is_left_alone():
    import socket
    socket.create_connection(("127.0.0.1", {server.server_port}), 5).close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", 1), 5)
""",
        apart=True,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*Passed, but tried to reach 192.0.2.1:80, 127.0.0.1:9997*example.org*"])


@pytest.mark.slow
@pytest.mark.fault_server
def test_a_recording_with_a_secret_left_in_it_is_not_written(project, server, pytester):
    server.answers["/x"] = ("application/json", b'{"note": "bearer abcdefghijklmnop"}')
    result = project(PLAIN, "--xinference-record=anew", ENDPOINT=server.url)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*SecretInRecordingError: Not written*", "*a bearer credential*"])
    assert not list(pytester.path.rglob("*.yaml"))


def test_recording_without_an_address_says_what_to_set(project):
    result = project(PLAIN, "--xinference-record=anew")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*set XINFERENCE_ENDPOINT to its URL*"])


def test_two_tests_may_not_share_a_recording(project):
    result = project(
        PLAIN.replace("recording", "recording(path='a.yaml')")
        + PLAIN.replace("test_it", "test_that").replace("recording", "recording(path='a.yaml')")
    )
    result.stderr.fnmatch_lines(["*would share the recording*"])


@pytest.mark.slow
def test_unused_it_loads_nothing_and_says_nothing(project, pytester):
    result = project(
        "def test_it():\n import sys\n assert not {'vcr', 'pydantic', 'requests', 'aiohttp'} & set(sys.modules)",
        "-W",
        "error",
        apart=True,
    )
    result.assert_outcomes(passed=1)
    # Of itself pytest names its plugins and folders.
    said = [line for line in result.outlines if not line.startswith(("plugins:", "rootdir:"))]
    assert not [line for line in said if "xinference" in line.replace(str(pytester.path), "")]


@pytest.mark.slow
def test_without_vcrpy_a_marked_test_says_how_to_get_it(project, pytester):
    (pytester.path / "vcr.py").write_text("raise ModuleNotFoundError('No module named vcr', name='vcr')")
    result = project(PLAIN, apart=True)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(['*pip install "xinference-bridge[[]testing]"*'])


def test_a_missing_recording_says_how_to_record_it(project):
    result = project(PLAIN)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*cassettes*test_it.yaml does not exist*--xinference-record=missing*"])
    result.stdout.no_fnmatch_line("*overwrite existing*")


def test_an_unknown_argument_of_the_marker_is_refused(project):
    result = project(PLAIN.replace("recording", "recording(pth='a.yaml')"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*xinference_recording(pth='a.yaml') takes only path=*"])
