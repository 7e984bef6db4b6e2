"""Which processes belong to the lab, and how they all end: by id, never by a name."""

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
    """When the process began, as `ps` writes it: with the id it names one process even when ids are used again.

    None for one that has ended, though its parent has not read its status: a server that failed to start is one.
    """
    run = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, began = run.stdout.strip().partition(" ")
    return None if state.startswith("Z") else began.strip() or None


def family_of(leader: int) -> list[int]:
    """The living processes of the leader's group, and all descendants of those, the leader first if it lives."""
    rows = _processes()
    found = {row.pid for row in rows if leader in (row.pid, row.group)}
    while True:
        more = {row.pid for row in rows if row.parent in found} - found
        if not more:
            return sorted(found, key=lambda pid: (pid != leader, pid))
        found |= more


def end_family(leader: int, patience: float = 20) -> list[int]:
    """End the leader and all its children, gently first; returns the ids still alive after all (none, one hopes).

    The family is listed before the first signal: children whose parent has died can no longer be found by descent.
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
        if not state.startswith("Z"):  # a zombie is dead; only its parent has not looked yet
            rows.append(Process(int(pid), int(parent), int(group), state))
    return rows
