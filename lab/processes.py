"""Finds the lab's processes and ends them by id, never by name."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Process:
    """One row of `ps`."""

    pid: int
    parent: int
    group: int
    state: str


def started_at(pid: int) -> str | None:
    """Return the start time of a process, as `ps` prints it. Together with the id it identifies a process uniquely.

    None if the process has ended, even if its parent has not read its status, as with a server that failed to start.
    """
    run = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, began = run.stdout.strip().partition(" ")
    return None if state.startswith("Z") else began.strip() or None


def family_of(leader: int) -> list[int]:
    """Return the running processes of the leader's group and all their descendants, the leader first if it runs."""
    rows = _processes()
    found = {row.pid for row in rows if leader in (row.pid, row.group)}
    while True:
        more = {row.pid for row in rows if row.parent in found} - found
        if not more:
            return sorted(found, key=lambda pid: (pid != leader, pid))
        found |= more


def end_family(leader: int, patience: float = 20) -> list[int]:
    """End the leader and all its children, with SIGTERM first. Return the ids that are still alive, normally none.

    The processes are listed before the first signal, because descendants cannot be found after their parent has died.
    """
    family = family_of(leader)
    for sig, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        _signal(family, sig)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            family = sorted(set(_alive(family)) | set(family_of(leader)))
            if not family:
                return []
            time.sleep(0.2)
    return family


def _signal(pids: list[int], sig: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            continue


def _alive(pids: list[int]) -> list[int]:
    living = {row.pid for row in _processes()}
    return [pid for pid in pids if pid in living]


def _processes() -> list[Process]:
    run = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,pgid=,stat="], capture_output=True, text=True, check=True)
    rows = []
    for line in run.stdout.splitlines():
        pid, parent, group, state = line.split(None, 3)
        if not state.startswith("Z"):  # a zombie has ended; only its parent has not read its status
            rows.append(Process(int(pid), int(parent), int(group), state))
    return rows
