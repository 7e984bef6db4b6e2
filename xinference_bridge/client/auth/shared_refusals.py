"""Rejections shared between the processes of one user on one machine: a small file for each server.

The server counts rejections by IP address, so sixteen workers with one wrong key would be banned together, however
careful each of them is. The file stores salted hashes of credentials, and times, but never a credential. If the
file cannot be written, each process works independently.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from xinference_bridge.client.auth.refusals import MOST_REFUSALS, REFUSAL_WINDOW, cool_down_after

#: A 401 comes immediately: a first request that takes longer was not rejected, and no process waits longer for it.
VERDICT_PATIENCE = 2.0
#: Seconds to wait for another process or thread that has the file open, normally for less than a millisecond.
LOCK_PATIENCE = 1.0
#: Seconds between two checks whether another process's first request has been answered.
LOOK_AGAIN = 0.02
#: Seconds between two checks by async code whether the file has changed.
LOOK_EVERY = 0.25
#: Seconds for which an accepted key counts as proven for new processes, and a rejected one as already rejected.
_MEMORY = 7200.0
_MOST_KEYS = 512


@dataclass(frozen=True, slots=True)
class Leave:
    """Whether a credential may be sent now, and if not, in how many seconds."""

    verdict: Literal["go", "wait", "resting", "spent"]
    seconds: float = 0.0


class SharedRefusals:
    """The rejections by one server, shared through a file. Safe for threads and processes."""

    def __init__(self, server_url: str, folder: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder or folder_of_user()
        self._path = self._folder / f"{hashlib.sha256(server_url.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"
        self._clock = clock
        self._looked = time.monotonic()
        self._seen = (0, 0)  # set only in `rest`

    def name_of(self, *credential: str) -> str:
        """Return the name of a credential in the file: a hash with a salt that stays on this machine."""
        salt = b""
        with suppress(OSError):
            salt = self._salt()
        text = "\x00".join(credential).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=salt, digest_size=16).hexdigest()

    def wait_to_begin(self, name: str) -> Leave:
        """Like `begin`, but first wait for the verdict on another process's request. Call it in a thread."""
        while (leave := self.begin(name)).verdict == "wait":
            time.sleep(LOOK_AGAIN)
        return leave

    def is_due(self) -> bool:
        """Return whether async code should check the file now, in a thread.

        Unlike a sync caller, it must not check on every request: `os.stat` blocks the event loop, which a guard such as
        BlockBuster rejects, and a thread for each request would cost more than the request.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY:
            return False
        self._looked = now
        return True

    def changed(self) -> bool:
        """Return whether the file was written since `rest` last read it."""
        try:
            return _stamp(os.stat(self._path)) != self._seen  # noqa: PTH116 - runs before every request
        except OSError:
            return False

    def rest(self, name: str) -> float:
        """Return the remaining seconds of this credential's cool-down.

        Never waits: when a key is revoked, every thread of every process calls this, and the thread that has to write
        the rejection must not wait for them.
        """
        try:
            with self._path.open("rb") as file:
                seen = _stamp(os.fstat(file.fileno()))
                state = _read(file.read())
        except OSError:
            return 0.0
        self._seen = seen
        if state is None:  # another process is writing it
            with self._state() as state:
                return self._rest_in(state, name)
        return self._rest_in(state, name)

    def _rest_in(self, state: dict[str, Any], name: str) -> float:
        return max(0.0, _time(state["keys"].get(name, {}).get("until")) - self._clock())

    def begin(self, name: str) -> Leave:
        """Return whether an unproven credential may be sent. It is then in flight until `settle`."""
        with self._state() as state:
            now, entry = self._clock(), _of(state, name)
            until = _time(entry.get("until"))
            if now < until:
                return Leave("resting", until - now)
            if "proven" in entry and _time(entry["proven"]) > now - _MEMORY:
                return Leave("go")
            since = _since(entry, now)
            if 0 <= since < VERDICT_PATIENCE:
                return Leave("wait", VERDICT_PATIENCE - since)
            if 0 <= since < _MEMORY and not entry.get("strikes"):
                entry["proven"] = now  # not rejected so far: the other processes need not wait one after another
                return Leave("go")
            refused = [at for at in state["refused"] if now - REFUSAL_WINDOW < at <= now]
            waiting = [other for other in state["keys"].values() if 0 <= _since(other, now) < VERDICT_PATIENCE]
            if len(refused) >= MOST_REFUSALS:
                return Leave("spent", refused[0] + REFUSAL_WINDOW - now)
            if len(refused) + len(waiting) >= MOST_REFUSALS:
                return Leave("wait", VERDICT_PATIENCE)
            entry["pending"] = now
            return Leave("go")

    def accepted(self, name: str) -> None:
        """Record that the server accepted the credential.

        During a cool-down, only responses to requests sent before the rejection arrive. They are ignored.
        """
        with self._state() as state:
            if self._clock() >= _time(_of(state, name).get("until")):
                state["keys"][name] = {"proven": self._clock()}

    def refused(self, name: str, *, towards_ban: bool = True) -> float:
        """Record that the server rejected the credential, and return the cool-down in seconds.

        Args:
            name: The name from `name_of`.
            towards_ban: Whether the server counts the rejection towards a ban: for keys and tokens, not passwords.
        """
        with self._state() as state:
            now, entry = self._clock(), _of(state, name)
            if towards_ban:
                state["refused"] = [*[at for at in state["refused"] if now - REFUSAL_WINDOW < at <= now], now]
            until, strikes = _time(entry.get("until")), int(_time(entry.get("strikes")))
            if now < until:  # it was in flight during an earlier rejection: both count as one
                return until - now
            rest = cool_down_after(strikes + 1)
            state["keys"][name] = {"strikes": strikes + 1, "until": now + rest}
            return rest

    def undecided(self, name: str) -> None:
        """Record that nothing was learned about the credential."""
        with self._state() as state:
            _of(state, name).pop("pending", None)

    def forget(self, name: str) -> None:
        """Record that a remembered rejection no longer applies."""
        with self._state() as state:
            state["keys"].pop(name, None)

    @contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        """Lock the file and yield its content. Write it back if it changed."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            yield {"refused": [], "keys": {}}
            return
        with _one_thread(), os.fdopen(descriptor, "r+b") as file:
            with suppress(OSError):
                _lock(file)
            written = file.read()
            state = _read(written) or {"refused": [], "keys": {}}
            try:
                yield state
            finally:
                self._prune(state)
                text = json.dumps(state).encode()
                if text != written:
                    with suppress(OSError):
                        file.seek(0)
                        file.write(text)
                        file.flush()
                        file.truncate()

    def _prune(self, state: dict[str, Any]) -> None:
        oldest = self._clock() - _MEMORY
        keys = state["keys"]
        for name in [name for name, entry in keys.items() if not entry or max(map(_time, entry.values())) < oldest]:
            del keys[name]
        for name in list(keys)[:-_MOST_KEYS]:
            del keys[name]

    def _salt(self) -> bytes:
        path = self._folder / "salt"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, os.urandom(32))
            os.close(descriptor)
        return path.read_bytes()[:64]


def folder_of_user() -> Path:
    """Return the folder of the files: the user's runtime folder, which ends with the session, or the cache folder."""
    base = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "xinference-bridge"
    except RuntimeError:  # a user without a home folder
        return Path("/nonexistent/xinference-bridge")


def _read(text: bytes) -> dict[str, Any] | None:
    """Return the state stored in a file, or None if it has none."""
    try:
        state = json.loads(text)
        refused = sorted(_time(at) for at in state["refused"])[-64:]
        keys = {str(name): dict(entry) for name, entry in state["keys"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return {"refused": refused, "keys": keys}


def _stamp(status: os.stat_result) -> tuple[int, int]:
    """Return what identifies one version of the content. The time alone has a resolution of some milliseconds."""
    return status.st_mtime_ns, status.st_size


def _of(state: dict[str, Any], name: str) -> dict[str, Any]:
    entry: dict[str, Any] = state["keys"].setdefault(name, {})
    return entry


def _since(entry: dict[str, Any], now: float) -> float:
    """Return how long a first request has been in flight, in seconds; infinite if there is none."""
    return now - _time(entry["pending"]) if "pending" in entry else math.inf


def _time(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


#: Only one thread of this process has a file open. Recreated in a forked child, because the parent may hold it.
_threads = threading.Lock()


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = _threads
    taken = threads.acquire(timeout=LOCK_PATIENCE)
    try:
        yield
    finally:
        if taken:
            threads.release()


def _renew_after_fork() -> None:
    global _threads  # noqa: PLW0603 - a lock that was held at the fork is never released
    _threads = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)


def _lock(file: Any) -> None:
    """Lock the file, but do not wait for a hanging process. Closing the file releases the lock.

    Not `flock`: a forked child inherits its lock with the open file and would wait for itself.
    """
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        import fcntl

        until = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    return
                time.sleep(0.002)
            else:
                return
