"""The lab's Xinference processes: starting them with its settings, knowing them again, ending them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lab.paths import HOME, LOG_FILE, SERVER_FILE, STATE, worker_home, worker_log
from lab.processes import end_family, started_at
from lab.rest import RefusedError, Rest
from lab.say import LabError, say

HOST = "127.0.0.1"
DEFAULT_PORT = 9997

SETTINGS = {
    # No model hub, ever: everything is registered with file:// addresses.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    # 4.1.0 would otherwise make a virtual environment for each model and ask a package index for its requirements.
    "XINFERENCE_ENABLE_VIRTUAL_ENV": "0",
    "XINFERENCE_DISABLE_METRICS": "1",
    # A server bans an address for an hour after 10 unknown credentials within 300 s. Every run of a test suite sends a
    # few wrong keys on purpose, all from loopback: only the address's threshold is raised. What a known but disabled
    # key may do (5 uses) stays the server's own. 4.1.0 has no other limit on requests, unless a launch asks for one.
    "XINFERENCE_RATE_LIMIT_IP_MAX_FAILURES": "1000",
    # A server's first process looks so many times, 5 s apart, whether its second one has come up, and ends when not: 5
    # times by default, which is too few on a busy machine.
    "XINFERENCE_HEALTH_CHECK_FAILURE_THRESHOLD": "60",
    # A model's process has so many seconds to import torch; by default 60, and on two busy cores two models of seven
    # failed by it, with a 500 whose detail is empty.
    "XINFERENCE_SUBPOOL_LAUNCH_TIMEOUT": "300",
    "TOKENIZERS_PARALLELISM": "false",
    # So small models gain nothing by a second thread, and two that spin while they wait for each other lose a lot as
    # soon as anything else runs: "Hello" took the transformers model 3 to 5 s on two busy cores.
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}

# Held, or Python warns of each that it is still running; that is what they are for.
_LEFT_RUNNING: list[subprocess.Popen[bytes]] = []

_SETUP_TOKEN = re.compile(r"Setup token: (\S+)")
_SETUP_WITHOUT_TOKEN = re.compile(r"FIRST-RUN SETUP REQUIRED((?!etup token).)*?={20}", re.DOTALL)


# A worker that dies is missed after a few seconds and not, as by default (10 s, then 5 looks 5 s apart), after half a
# minute: so long a test would wait each time.
_CLUSTER_SETTINGS = {
    "XINFERENCE_HEALTH_CHECK_INTERVAL": "1",
    "XINFERENCE_HEALTH_CHECK_TIMEOUT": "5",
    "XINFERENCE_HEALTH_CHECK_FAILURE_THRESHOLD": "2",
}


@dataclass(frozen=True)
class Worker:
    """A worker of a cluster, with a home and a log of its own."""

    name: str
    pid: int
    started: str

    def alive(self) -> bool:
        """Whether that very process still runs."""
        return started_at(self.pid) == self.started


@dataclass(frozen=True)
class Server:
    """A server that this lab started, as its state file describes it; of a cluster, the supervisor."""

    pid: int
    started: str
    port: int
    version: str
    models: str = ""
    """A hash of what runs on it, filled in once everything answers; empty while the lab is being set up."""
    workers: tuple[Worker, ...] = ()
    """Those of a cluster; a single server is its own."""

    @property
    def endpoint(self) -> str:
        """The URL that clients use."""
        return f"http://{HOST}:{self.port}"

    def alive(self) -> bool:
        """Whether that very process still runs (its id may have been given to another since)."""
        return started_at(self.pid) == self.started

    def healthy(self) -> bool:
        """Whether it lives and answers."""
        try:
            return self.alive() and Rest(self.endpoint).get("/status", timeout=5) is not None
        except (OSError, RefusedError):
            return False

    def save(self) -> None:
        """Write the state file, complete or not at all."""
        partial = SERVER_FILE.with_suffix(".part")
        partial.write_text(json.dumps(asdict(self)) + "\n")
        partial.replace(SERVER_FILE)


def known_server() -> Server | None:
    """The server of the state file, dead or alive."""
    try:
        state = json.loads(SERVER_FILE.read_text())
        return Server(**state | {"workers": tuple(Worker(**worker) for worker in state.get("workers", []))})
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def start_server(python: Path, version: str, *, cluster: bool = False) -> Server:
    """Start a server with a new, empty home, or a cluster's supervisor; returns before it answers."""
    port = _choose_port()
    STATE.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(HOME, ignore_errors=True)
    program, settings = ("supervisor", SETTINGS | _CLUSTER_SETTINGS) if cluster else ("local", SETTINGS)
    pid, started = _start(_command(python, program, port), settings, HOME, LOG_FILE)
    server = Server(pid, started, port, version)
    server.save()
    return server


def restart_server(server: Server, python: Path) -> Server:
    """End a server as a crash would, and start it again with its home and port; returns before it answers.

    Its accounts, keys and families are then what they were; its models have to be launched again. What is launched is
    the caller's affair, so the next `make lab` starts a lab anew.
    """
    end_family(server.pid, patience=0)
    pid, started = _start(_command(python, "local", server.port), SETTINGS, HOME, LOG_FILE)
    server = replace(server, pid=pid, started=started, models="")
    server.save()
    return server


def _command(python: Path, program: str, port: int) -> list[str]:
    return [str(python.parent / f"xinference-{program}"), "-H", HOST, "-p", str(port)]


def add_worker(server: Server, python: Path, name: str, *, again: bool = False) -> Server:
    """Start a worker of the cluster; returns before the supervisor knows it.

    Its home is empty, or, when it was there before, as it was: a supervisor tells its families to the workers that are
    there when they are registered, and a worker that comes later knows them from its home alone.
    """
    command = [str(python.parent / "xinference-worker"), "-e", server.endpoint, "-H", HOST]
    home = worker_home(name)
    if not again:
        shutil.rmtree(home, ignore_errors=True)
    pid, started = _start(command, SETTINGS | _CLUSTER_SETTINGS, home, worker_log(name))
    server = replace(server, workers=(*server.workers, Worker(name, pid, started)))
    server.save()
    return server


def kill_worker(server: Server, name: str) -> Server:
    """End one worker as a crash would, at once and with its models; LabError when there must be one of that name."""
    worker = next((worker for worker in server.workers if worker.name == name), None)
    if worker is None:
        raise LabError(f"no worker {name!r}; there are {[worker.name for worker in server.workers]}")
    if worker.alive():
        end_family(worker.pid, patience=0)
    server = replace(server, workers=tuple(other for other in server.workers if other is not worker))
    server.save()
    return server


def wait_for_workers(server: Server, patience: float = 600) -> None:
    """Return when the supervisor counts as many workers as were started; a launch before that finds none."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        for worker in server.workers:
            if not worker.alive():
                raise LabError(f"worker {worker.name} ended while it was starting")
        if len(Rest(server.endpoint).get("/status", timeout=10)["workers"]) >= len(server.workers):
            return
        time.sleep(0.5)
    raise LabError(f"the supervisor did not see its workers within {patience:.0f} s")


def _start(command: list[str], settings: dict[str, str], home: Path, log_file: Path) -> tuple[int, str]:
    """The process's id and when it began."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XINFERENCE_")}
    environment |= settings | {"XINFERENCE_HOME": str(home)}
    # The environment's tools come first on PATH, as after `activate`: the server starts helpers by name.
    environment["PATH"] = f"{Path(command[0]).parent}{os.pathsep}{environment.get('PATH', '')}"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=STATE,
            start_new_session=True,
        )
    _LEFT_RUNNING.append(process)
    return process.pid, started_at(process.pid) or ""


def wait_until_it_answers(server: Server, patience: float = 600) -> None:
    """Return when `GET /status` answers; LabError when the process ends or time is up.

    A start takes 25 s, and took 190 s on two cores with fourteen other programs at work.
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if not server.alive():
            raise LabError("the server process ended while it was starting")
        try:
            Rest(server.endpoint).get("/status", timeout=5)
        except (OSError, RefusedError):
            time.sleep(0.5)
        else:
            return
    raise LabError(f"the server did not answer GET /status within {patience:.0f} s")


def setup_token(patience: float = 30) -> str | None:
    """The one-time token that a server without accounts prints into its log; None where it asks for none (3.5.0)."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        log = LOG_FILE.read_text(errors="replace")
        if found := _SETUP_TOKEN.search(log):
            return found.group(1)
        if _SETUP_WITHOUT_TOKEN.search(log):
            return None
        time.sleep(0.3)
    raise LabError("the server's log does not say how its first account is made")


def log_tail(lines: int = 30) -> str:
    """The last lines of the server's log."""
    try:
        return "\n".join(LOG_FILE.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(there is no log)"


def stop_server(server: Server) -> None:
    """End the server and all its children, and forget it; LabError names what would not end."""
    # When the server was killed its children may live on. They carry its group, and no new process can be given an id
    # that is still in use as a group's; so only if the id names another process by now is there nothing of ours to end.
    left = []
    processes = [(worker.pid, worker.started) for worker in server.workers]
    for pid, started in (*processes, (server.pid, server.started)):
        taken = started_at(pid) not in (None, started)
        left += [] if taken else end_family(pid)
    if left:
        raise LabError(f"these processes of the lab would not end: {left}")
    SERVER_FILE.unlink(missing_ok=True)


def _choose_port() -> int:
    wanted = int(os.environ.get("LAB_PORT") or DEFAULT_PORT)
    if _free(wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    say(f"port {wanted} is taken by something else; using {port} (LAB_PORT=… chooses one)")
    return port


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server binds: a port whose last connections are in TIME_WAIT is free to it.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
