"""The pytest plugin: a test marked `xinference_recording` is recorded once and replayed afterwards.

Only pytest is imported until the first marked test runs.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from xinference_bridge.testing.names import cassette_path
from xinference_bridge.testing.network import GUARD
from xinference_bridge.testing.server import REPLAY, RecordedServer, server_of_recording

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from contextlib import AbstractContextManager

    from xinference_bridge.testing.cassettes import Recording

MARKER = "xinference_recording"
_MEANING = "(path=None): talks to a Xinference server; recorded with --xinference-record, replayed by default."

PASSED = pytest.StashKey[bool]()
"""Stash key of a test: whether its call passed."""
SERVER = pytest.StashKey[RecordedServer]()
"""Stash key of the configuration: the real server, once it is known."""
OWNERS = pytest.StashKey[dict[Path, str]]()
"""Stash key of the configuration: the recordings of all collected tests, each with the test's id."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the command-line options and the setting for the folder."""
    group = parser.getgroup("xinference", "recordings of a Xinference server")
    group.addoption(
        "--xinference-record",
        choices=("missing", "anew"),
        help="Send the requests of marked tests to the server of XINFERENCE_ENDPOINT and record them: 'missing' in "
        "tests without a recording, 'anew' in all that are selected.",
    )
    group.addoption(
        "--xinference-live",
        action="store_true",
        help="Send the requests of marked tests to the server of XINFERENCE_ENDPOINT, without reading a recording.",
    )
    parser.addini("xinference_cassettes", "Folder of the recordings, below the root folder.", default="cassettes")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and find the real server."""
    config.addinivalue_line("markers", MARKER + _MEANING)
    asks = config.getoption("xinference_record") or config.getoption("xinference_live")
    if asks and SERVER not in config.stash:
        config.stash[SERVER] = _server_of_environment()


@pytest.hookimpl(tryfirst=True)  # before -k and -m deselect tests: a deselected test still owns its recording
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Find each test's recording. With `--xinference-record=missing`, deselect the tests that have one."""
    owners: dict[Path, str] = {}
    for item in items:
        if item.get_closest_marker(MARKER) is None:
            continue
        path = recording_of(item)
        if path in owners:
            raise pytest.UsageError(f"{item.nodeid} and {owners[path]} would share the recording {path}: rename one.")
        owners[path] = item.nodeid
    config.stash[OWNERS] = owners
    if config.getoption("xinference_record") == "missing":
        recorded = {owner for path, owner in owners.items() if path.exists()}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in recorded])
        items[:] = [item for item in items if item.nodeid not in recorded]


def recording_of(item: pytest.Item) -> Path:
    """Return the path of a marked test's recording."""
    marker = item.get_closest_marker(MARKER)
    root = item.config.rootpath
    # Joined to the root, because the workers of pytest-xdist get a relative folder. An absolute one is unchanged.
    folder = root / str(item.config.getini("xinference_cassettes"))
    if marker and (len(marker.args) + len(marker.kwargs) > 1 or marker.kwargs.keys() - {"path"}):
        given = ", ".join([*map(repr, marker.args), *(f"{name}={value!r}" for name, value in marker.kwargs.items())])
        raise pytest.UsageError(f"{item.nodeid}: {MARKER}({given}) takes only path=, the file of the recording.")
    stated = marker and (marker.args[0] if marker.args else marker.kwargs.get("path"))
    if stated is not None:
        return folder / str(stated)
    tests = root / "tests"
    below = tests if item.path.is_relative_to(tests) else root if item.path.is_relative_to(root) else item.path.parent
    return cassette_path(folder, item.path.relative_to(below), item.nodeid.partition("::")[2])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test passed. Its recording is written or checked only then."""
    report = yield
    if call.when == "call":
        item.stash[PASSED] = report.passed
    return report


@pytest.fixture(autouse=True)
def _xinference_recording(request: pytest.FixtureRequest) -> Iterator[Recording | None]:
    """The recording of a marked test; None in other tests and with `--xinference-live`."""
    item = request.node
    if item.get_closest_marker(MARKER) is None:
        yield None
        return
    records = item.config.getoption("xinference_record") is not None
    with _own_state(), contextlib.ExitStack() as stack:
        if SERVER not in item.config.stash:  # the real server is already in the environment
            stack.enter_context(_environment_of(server_of(item)))
        if item.config.getoption("xinference_live") and not records:
            yield None
            return
        blocked = [] if records else stack.enter_context(_network_blocked())
        with _opened(item, record=records) as recording:
            yield recording
            passed = item.stash.get(PASSED, False)
            recording.keep = records and passed
        if passed and not records:
            _check_played(item, recording, blocked)


def _opened(item: pytest.Item, *, record: bool) -> AbstractContextManager[Recording]:
    try:
        from xinference_bridge.testing.cassettes import open_recording
    except ImportError as missing:
        command = 'pip install "xinference-bridge[testing]"'
        pytest.fail(f"The marker {MARKER} needs the package {missing.name}: {command}", pytrace=False)
    return open_recording(recording_of(item), server_of(item), record=record)


@pytest.fixture
def xinference_server(request: pytest.FixtureRequest, _xinference_recording: Recording | None) -> RecordedServer:
    """The server of a marked test: `url`, `api_key`, `username`, `password`, `live`.

    During a replay they are placeholders. Credentials that were not set while recording are empty.
    """
    return server_of(request.node)


def server_of(item: pytest.Item) -> RecordedServer:
    """Return the server of a marked test: the real one, or the placeholders of its recording."""
    real = item.config.stash.get(SERVER, None)
    return real or server_of_recording(recording_of(item))


def _server_of_environment() -> RecordedServer:
    url = os.environ.get("XINFERENCE_ENDPOINT") or os.environ.get("XINFERENCE_SERVER_URL")
    if not url:
        raise pytest.UsageError(
            "--xinference-record and --xinference-live need a running server: set XINFERENCE_ENDPOINT to its URL, and "
            "XINFERENCE_API_KEY where it wants a key."
        )
    return RecordedServer(
        url=url.rstrip("/"),
        api_key=os.environ.get("XINFERENCE_API_KEY", ""),
        username=os.environ.get("XINFERENCE_USERNAME", ""),
        password=os.environ.get("XINFERENCE_PASSWORD", ""),
        live=True,
    )


@contextlib.contextmanager
def _environment_of(server: RecordedServer) -> Iterator[None]:
    """Point connections that read the environment at the server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("XINFERENCE_SERVER_URL", raising=False)
        for name, value in server.environment().items():
            patch.delenv(name, raising=False)
            if value:
                patch.setenv(name, value)
        yield


@contextlib.contextmanager
def _own_state() -> Iterator[None]:
    """Reset what earlier tests learned about the server; otherwise a test would send fewer requests after other tests.

    The processes of a user share rejected credentials in files below XDG_RUNTIME_DIR, so a recorded 401 would block the
    requests of the next run. Callers that wait for the first response to a key send a light request after a second, so
    a busy machine would send it in some runs and not in others.
    """
    from xinference_bridge.client import registry as clients
    from xinference_bridge.client.auth import api_key
    from xinference_bridge.client.auth import registry as gates

    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(
            prefix="xinference-bridge-",
            ignore_cleanup_errors=True,  # a thread that nobody waits for may write there yet
        ) as folder,
    ):
        patch.setenv("XDG_RUNTIME_DIR", folder)
        patch.setattr(api_key, "PROBE_PATIENCE", 3600.0)
        clients.close_all()
        gates.reset()
        yield
        clients.close_all()
        gates.reset()


@contextlib.contextmanager
def _network_blocked() -> Iterator[list[str]]:
    """Refuse connections that vcrpy does not intercept, except to loopback ports. Yields the refused attempts."""
    if GUARD.on:  # this package's tests have stricter rules
        yield []
        return
    GUARD.install()
    GUARD.reset()
    GUARD.loopback = True
    GUARD.forbidden_ports = frozenset({REPLAY.address[1]})
    try:
        yield GUARD.attempts
    finally:
        GUARD.stand_down()


def _check_played(item: pytest.Item, recording: Recording, blocked: list[str]) -> None:
    again = f"Record it anew with --xinference-record=anew {item.nodeid!r}"
    if recording.missed:
        pytest.fail("Passed, but asked for what is not recorded:\n  " + "\n  ".join([*recording.missed, again]))
    if recording.unplayed:
        pytest.fail("Recorded, but never asked for:\n  " + "\n  ".join([*recording.unplayed, again]))
    if blocked:
        pytest.fail(f"Passed, but tried to reach {', '.join(blocked)}")
