"""Recording and replay in pytest: the options, the markers, and the fixtures for every test."""

from __future__ import annotations

import gc
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.more_models import MEDIA_LAUNCHES, SMOLLM2_LAUNCHES
from lab.paths import DEFAULT_XINFERENCE
from lab.rest import Rest
from tests.support.lab import REPLAY, Lab
from xinference_bridge.testing.names import cassette_name
from xinference_bridge.testing.network import GUARD
from xinference_bridge.testing.plugin import MARKER, OWNERS, PASSED, SERVER, recording_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xinference_bridge.testing import Recording

_MARKERS = {
    "server": "uses the lab's server. Replayed from its recording by default; uses the lab itself with --live.",
    "xinference": "(version): uses a server of exactly this version, and has its recording under compat/.",
    "runs": "(uid): needs this model on the lab, although its requests do not name it.",
    "live_only": "has no recording: uses the lab itself, and is skipped without --live.",
    "slow": "takes long, mostly because it starts processes: `make test` leaves it out, `make test-all` and CI do not.",
    "fault_server": "starts a server on a loopback port that fails on demand.",
}
_OPTIONAL = {launch.uid for launch in SMOLLM2_LAUNCHES + MEDIA_LAUNCHES}
"""The models that a lab may leave out (`make lab MEDIA=0`)."""
_MODEL = re.compile(r'"model(?:_uid)?"(?:, "value")?: ?"([^"]+)"')
"""The model in a JSON body, and in a recorded form."""
_DESCRIBED = re.compile(r"uri: .*/v1/models/([^/\s?]+)$", re.MULTILINE)
_LAB = pytest.StashKey[Lab]()
_RUNTIME = pytest.StashKey[tempfile.TemporaryDirectory[str]]()

# The machine's environment variables must not affect the tests.
_HERMETIC = ("XINFERENCE_", "LANGCHAIN_", "LANGSMITH_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("xinference", "talking to the lab")
    group.addoption("--live", action="store_true", help="Run `server` tests on the running lab, without recordings.")
    group.addoption(
        "--record",
        choices=("missing", "anew"),
        help="Like --live, and record the traffic: of tests without a recording, or of all selected tests.",
    )


@pytest.hookimpl(tryfirst=True)  # before the recording plugin looks for the server
def pytest_configure(config: pytest.Config) -> None:
    # Both frameworks and thousands of tests are some two million objects: walking them took a fifth of the run.
    gc.set_threshold(100_000, 50, 50)
    for marker, meaning in _MARKERS.items():
        config.addinivalue_line("markers", f"{marker}: {meaning}")
    config.stash[_RUNTIME] = tempfile.TemporaryDirectory(prefix="xinference-bridge-tests-", ignore_cleanup_errors=True)
    real = config.getoption("--live") or config.getoption("--record")
    config.stash[_LAB] = lab = _running_lab() if real else REPLAY
    for name in list(os.environ):
        if name.startswith(_HERMETIC) or name.lower() in _PROXIES:
            del os.environ[name]
    config.option.xinference_live = config.getoption("--live")
    config.option.xinference_record = config.getoption("--record")
    config.stash[SERVER] = lab
    GUARD.hint = (
        "Mark it `server` to talk to the lab (recorded, replayed by default), or `fault_server` to talk to a loopback "
        "port that it binds itself."
    )
    GUARD.forbidden_ports = frozenset({lab.address[1], REPLAY.address[1]})
    GUARD.install()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_RUNTIME].cleanup()
    GUARD.stand_down()


def _running_lab() -> Lab:
    if not os.environ.get("XINFERENCE_ENDPOINT"):
        msg = "--live and --record need a running lab, and XINFERENCE_ENDPOINT is not set: "
        raise pytest.UsageError(msg + "start one with `make lab`, then use `make test-live` or `make record`.")
    url = os.environ["XINFERENCE_ENDPOINT"].rstrip("/")
    api_key = os.environ.get("XINFERENCE_API_KEY", "")  # a server before 3.0 requires none
    listed = Rest(url, api_key or None).get("/v1/models", timeout=60)
    return Lab(
        url=url,
        api_key=api_key,
        models=frozenset(model["id"] for model in listed.get("data", [])),
        version=os.environ.get("LAB_XINFERENCE") or DEFAULT_XINFERENCE,
        username=os.environ.get("XINFERENCE_USERNAME", ""),
        password=os.environ.get("XINFERENCE_PASSWORD", ""),
        live=True,
    )


@pytest.hookimpl(tryfirst=True)  # before the recording plugin looks for its marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("server") is None:
            continue
        if item.get_closest_marker("fault_server") is not None:
            raise pytest.UsageError(f"{item.nodeid} is marked both `server` and `fault_server`: it can be one of them.")
        item.add_marker(pytest.mark.__getattr__(MARKER)(path=_path_of_version(item)))


def pytest_collection_finish() -> None:
    gc.freeze()  # what is imported stays until the end


def _path_of_version(item: pytest.Item) -> str | None:
    """Return the path of the recording of a test for one server version. The plugin returns that of other tests."""
    version = _version_of(item)
    if version is None:
        return None
    return f"compat/{version}/{cassette_name(item.nodeid.partition('::')[2].replace(version, ''))}"


def _models_asked_for(item: pytest.Item) -> set[str]:
    """Return the UIDs in the test's marker or in the requests of its recording."""
    asked = {str(uid) for marker in item.iter_markers("runs") for uid in marker.args}
    path = recording_of(item)
    if path.exists():
        recording = path.read_text(encoding="utf-8")
        asked.update(_MODEL.findall(recording), _DESCRIBED.findall(recording))
    return asked


def _version_of(item: pytest.Item) -> str | None:
    """Return the server version that the test is for, or None."""
    marker = item.get_closest_marker("xinference")
    return None if marker is None else str(marker.args[0])


def pytest_runtest_setup(item: pytest.Item) -> None:
    # Each test has its own shared file of rejected credentials, not that of the machine.
    os.environ["XDG_RUNTIME_DIR"] = f"{item.config.stash[_RUNTIME].name}/{abs(hash(item.nodeid)):x}"
    lab = item.config.stash[_LAB]
    if item.get_closest_marker("live_only") is not None and not lab.live:
        pytest.skip("asks the lab itself: --live")
    if lab.live and item.get_closest_marker("server") is not None:
        wanted = _version_of(item) or DEFAULT_XINFERENCE
        if wanted != lab.version:
            pytest.skip(f"is about Xinference {wanted}, and the lab is {lab.version}")
        if absent := sorted(_models_asked_for(item) & (_OPTIONAL - lab.models)):
            pytest.skip(f"the lab does not run {', '.join(absent)}: `make lab` says why")


@pytest.fixture(autouse=True)
def _network(request: pytest.FixtureRequest, lab: Lab) -> Iterator[None]:
    """Allow the connections of the test's marker. Fail a test that tried others, even if the error was swallowed."""
    GUARD.reset()
    GUARD.own_ports = request.node.get_closest_marker("fault_server") is not None
    if lab.live and any(request.node.get_closest_marker(name) for name in ("server", "live_only")):
        GUARD.server = lab.address
    yield
    attempts = list(GUARD.attempts)
    GUARD.reset()
    if attempts and request.node.stash.get(PASSED, False):
        pytest.fail(f"Passed, but tried to reach {', '.join(attempts)}")


@pytest.fixture(autouse=True)
def vcr(_network: None, _xinference_recording: Recording | None) -> Recording | None:
    """The recording of a `server` test that is replayed or recorded. langchain-tests requires this name."""
    return _xinference_recording


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Lab:
    """The server of `server` tests: `url`, `api_key`, `username`, `password`."""
    return pytestconfig.stash[_LAB]


@pytest.fixture(scope="session")
def expected_recordings(pytestconfig: pytest.Config) -> set[Path]:
    """The recordings of all collected `server` tests, run or not."""
    owners = pytestconfig.stash[OWNERS]
    return set(owners)
