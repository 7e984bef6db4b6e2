"""The cluster that the lab started, restored before each test."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.environment import ensure_environment
from lab.rest import RefusedError, Rest
from lab.server import add_worker, kill_worker, known_server, wait_for_workers
from tests.support.lab import Lab
from xinference_bridge import XinferenceConnection
from xinference_bridge.client import registry as clients
from xinference_bridge.client.auth import registry as gates

REPLICATED = ("minilm", "tiny-chat")


class Cluster:
    """The running cluster, and what an administrator does to it."""

    def __init__(self, lab: Lab) -> None:
        server = known_server()
        if server is None or not server.workers or server.endpoint != lab.url:
            pytest.skip("needs a cluster: make lab CLUSTER=1")
        self.server = server
        jwt = Rest(lab.url).post("/token", {"username": lab.username, "password": lab.password})["access_token"]
        self.rest = Rest(lab.url, jwt)

    def kill_a_worker(self) -> None:
        """As a crash would: at once, with its replicas."""
        self.server = kill_worker(self.server, self.server.workers[0].name)

    def replicas(self, uid: str) -> int:
        """How many the supervisor has; 0 when the model is not there."""
        try:
            return int(self.rest.get(f"/v1/models/{uid}")["replica"])
        except RefusedError:
            return 0

    def add_replica(self, uid: str) -> None:
        """One more, and wait for it."""
        wanted = self.replicas(uid) + 1
        self.rest.post(f"/v1/models/{uid}/replicas", {"replica": 1}, timeout=300)
        self.until(lambda: self.replicas(uid) == wanted)

    def mend(self) -> None:
        """Two workers, two replicas of each replicated model."""
        for worker in [worker for worker in self.server.workers if not worker.alive()]:
            self.server = kill_worker(self.server, worker.name)
        self.until(lambda: len(self._known_workers()) <= len(self.server.workers))
        names = {worker.name for worker in self.server.workers}
        python = ensure_environment(self.server.version)
        for name in [name for name in ("1", "2") if name not in names]:
            self.server = add_worker(self.server, python, name, again=True)
        wait_for_workers(self.server)
        for uid in REPLICATED:
            while self.replicas(uid) < 2:
                self.add_replica(uid)

    def until(self, happened: Callable[[], bool], patience: float = 120) -> None:
        """Wait for something that the cluster does in its own time."""
        deadline = time.monotonic() + patience
        while not happened():
            if time.monotonic() > deadline:
                pytest.fail(f"the cluster did not come round within {patience:g} s")
            time.sleep(0.3)

    def _known_workers(self) -> dict[str, Any]:
        return dict(self.rest.get("/status")["workers"])


@pytest.fixture
def cluster(lab: Lab) -> Cluster:
    """Whole; what a test breaks is mended by the next one, and the lab ends what was added."""
    running = Cluster(lab)
    running.mend()
    return running


@pytest.fixture
def connection(lab: Lab) -> Iterator[XinferenceConnection]:
    with XinferenceConnection(server_url=lab.url, api_key=lab.api_key) as connection:
        yield connection
    clients.close_all()
    gates.reset()
