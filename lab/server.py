"""The lab's Xinference processes: starts, identifies and ends them."""

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
    # No model hub: everything is registered with file:// URLs.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    # 4.1.0 would otherwise create a virtual environment for each model and install its requirements from an index.
    "XINFERENCE_ENABLE_VIRTUAL_ENV": "0",
    "XINFERENCE_DISABLE_METRICS": "1",
    # A server bans an address for an hour after 10 unknown credentials within 300 s. Every run of a test suite sends a
    # few wrong keys on purpose, all from loopback, so only the threshold for addresses is raised. The limit for a known
    # but disabled key (5 uses) is the server's default. 4.1.0 has no other limit on requests unless a launch sets one.
    "XINFERENCE_RATE_LIMIT_IP_MAX_FAILURES": "1000",
    # A server's first process checks this many times, 5 s apart, whether its second one has started, and otherwise
    # exits: 5 times by default, which is too few on a busy machine.
    "XINFERENCE_HEALTH_CHECK_FAILURE_THRESHOLD": "60",
    # A model's process has this many seconds to import torch. With the default of 60, two of seven models failed on two
    # busy cores, with a 500 whose detail is empty.
    "XINFERENCE_SUBPOOL_LAUNCH_TIMEOUT": "300",
    "TOKENIZERS_PARALLELISM": "false",
    # Models this small gain nothing from a second thread, and two threads that spin while they wait for each other lose
    # a lot when anything else runs: "Hello" took the transformers model 3 to 5 s on two busy cores.
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}

# Kept, because Python would otherwise warn that each process is still running, which is intended.
_LEFT_RUNNING: list[subprocess.Popen[bytes]] = []

_SETUP_TOKEN = re.compile(r"Setup token: (\S+)")
_SETUP_WITHOUT_TOKEN = re.compile(r"FIRST-RUN SETUP REQUIRED((?!etup token).)*?={20}", re.DOTALL)


# The supervisor notices a dead worker after a few seconds and not, as by default (10 s, then 5 checks 5 s apart), after
# half a minute, which would slow down every test.
_CLUSTER_SETTINGS = {
    "XINFERENCE_HEALTH_CHECK_INTERVAL": "1",
    "XINFERENCE_HEALTH_CHECK_TIMEOUT": "5",
    "XINFERENCE_HEALTH_CHECK_FAILURE_THRESHOLD": "2",
}


@dataclass(frozen=True)
class Worker:
    """A worker of a cluster, with a separate home and log."""

    name: str
    pid: int
    started: str

    def alive(self) -> bool:
        """Return whether the same process still runs."""
        return started_at(self.pid) == self.started


@dataclass(frozen=True)
class Server:
    """A server that this lab started, as described in its state file. In a cluster, the supervisor."""

    pid: int
    started: str
    port: int
    version: str
    models: str = ""
    """A hash of the running models, set when everything is ready; empty during the setup."""
    workers: tuple[Worker, ...] = ()
    """The workers of a cluster; empty for a single server."""

    @property
    def endpoint(self) -> str:
        """The URL for clients."""
        return f"http://{HOST}:{self.port}"

    def alive(self) -> bool:
        """Return whether the same process still runs. Its id may have been reused for another one."""
        return started_at(self.pid) == self.started

    def healthy(self) -> bool:
        """Return whether the server runs and answers."""
        try:
            return self.alive() and Rest(self.endpoint).get("/status", timeout=5) is not None
        except (OSError, RefusedError):
            return False

    def save(self) -> None:
        """Write the state file atomically."""
        partial = SERVER_FILE.with_suffix(".part")
        partial.write_text(json.dumps(asdict(self)) + "\n")
        partial.replace(SERVER_FILE)


def known_server() -> Server | None:
    """Return the server in the state file, running or not."""
    try:
        state = json.loads(SERVER_FILE.read_text())
        return Server(**state | {"workers": tuple(Worker(**worker) for worker in state.get("workers", []))})
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def start_server(python: Path, version: str, *, cluster: bool = False) -> Server:
    """Start a server with a new, empty home, or a cluster's supervisor. Return before it answers."""
    port = _choose_port()
    STATE.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(HOME, ignore_errors=True)
    program, settings = ("supervisor", SETTINGS | _CLUSTER_SETTINGS) if cluster else ("local", SETTINGS)
    pid, started = _start(_command(python, program, port), settings, HOME, LOG_FILE)
    server = Server(pid, started, port, version)
    server.save()
    return server


def restart_server(server: Server, python: Path) -> Server:
    """Kill a server, and start it again with the same home and port. Return before it answers.

    It keeps its accounts, keys and families, but its models must be launched again. The caller launches them, so the
    next `make lab` starts a new lab.
    """
    end_family(server.pid, patience=0)
    pid, started = _start(_command(python, "local", server.port), SETTINGS, HOME, LOG_FILE)
    server = replace(server, pid=pid, started=started, models="")
    server.save()
    return server


def _command(python: Path, program: str, port: int) -> list[str]:
    return [str(python.parent / f"xinference-{program}"), "-H", HOST, "-p", str(port)]


def add_worker(server: Server, python: Path, name: str, *, again: bool = False) -> Server:
    """Start a worker of the cluster. Return before the supervisor knows it.

    A new worker has an empty home, and a restarted one keeps its home. The supervisor sends new families only to the
    workers that run at the time; a later worker knows only the families in its home.
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
    """Kill one worker and its models. Raise LabError if there is no worker with this name."""
    worker = next((worker for worker in server.workers if worker.name == name), None)
    if worker is None:
        raise LabError(f"no worker {name!r}; there are {[worker.name for worker in server.workers]}")
    if worker.alive():
        end_family(worker.pid, patience=0)
    server = replace(server, workers=tuple(other for other in server.workers if other is not worker))
    server.save()
    return server


def wait_for_workers(server: Server, patience: float = 600) -> None:
    """Wait until the supervisor knows all started workers. An earlier launch would find none."""
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
    """Start a process. Return its id and its start time."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XINFERENCE_")}
    environment |= settings | {"XINFERENCE_HOME": str(home)}
    # The environment's tools come first on PATH, as after `activate`, because the server starts helpers by name.
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
    """Wait until `GET /status` answers. Raise LabError if the process ends or the time is up.

    A start takes 25 s, but took 190 s on two cores with fourteen other running programs.
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
    """Return the one-time token that a server without accounts prints to its log, or None if not needed (3.5.0)."""
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
    """Return the last lines of the server's log."""
    try:
        return "\n".join(LOG_FILE.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(there is no log)"


def stop_server(server: Server) -> None:
    """End the server and all its children, and delete its state file. LabError lists the processes that did not end."""
    # If the server was killed, its children may still run. They are in its process group, and no new process gets an id
    # that is still in use by a group. So if another process now has the id, none of the lab's processes is left.
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
        # The server binds in the same way: it can use a port whose last connections are in TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
