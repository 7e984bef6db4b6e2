"""A real lab behind a counting relay, a real cluster of two workers, and the examples as users start them."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.corpora.relay import Relay, relay_to

ROOT = Path(__file__).parents[2]
SECONDS = 900  # until a test gives up: an engine that starts its workers on a busy machine takes minutes


@pytest.fixture
def relay():
    missing = {"XINFERENCE_ENDPOINT", "XINFERENCE_API_KEY"} - set(os.environ)
    if missing:
        pytest.exit(
            f"{' and '.join(sorted(missing))} not set: start a lab with `make lab`, then `make test-corpora`", 1
        )
    with relay_to(os.environ["XINFERENCE_ENDPOINT"].rstrip("/")) as relay:
        yield relay


@pytest.fixture(scope="session")
def ray_address():
    """Two nodes on the loopback, with as little memory as Ray takes."""
    # Read when Ray is imported. Without this token it would write one to the user's home.
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    from ray.cluster_utils import Cluster

    # Loopback, but not 127.0.0.1: that, Ray takes for the address of this machine on its network.
    node = {"num_cpus": 2, "object_store_memory": 100 * 1024**2, "node_ip_address": "127.0.0.2"}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        cluster.add_node(**node)
        yield cluster.address
    finally:
        cluster.shutdown()


@dataclass
class Job:
    """One of the examples, on a corpus and a folder of a test's own."""

    script: str
    relay: Relay
    corpus: Path
    out: Path
    environment: dict[str, str]
    key: str = field(default_factory=lambda: os.environ["XINFERENCE_API_KEY"], repr=False)

    def start(self, model: str = "minilm") -> subprocess.Popen[str]:
        """Start the example in a separate process group."""
        script = [sys.executable, f"examples/{self.script}"]
        command = [*script, str(self.corpus), str(self.out), model, "--rows-a-file", "4"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XINFERENCE_")}
        server = {"XINFERENCE_ENDPOINT": self.relay.url, "XINFERENCE_API_KEY": self.key}
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={**kept, **server, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, model: str = "minilm") -> tuple[int, str, str]:
        """Return the exit status, standard output and standard error."""
        process = self.start(model)
        try:
            out, err = process.communicate(timeout=SECONDS)
        finally:
            kill(process)
        sys.stderr.write(err[-8000:])  # shown where the test fails
        assert self.key not in out + err
        return process.returncode, out, err

    def add(self, name: str, texts: dict[str, str]) -> None:
        """Add or replace a file of the corpus."""
        self.corpus.mkdir(exist_ok=True)
        table = pa.table({"id": list(texts), "text": list(texts.values())})
        pq.write_table(table, self.corpus / f"{name}.parquet", row_group_size=8)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of all complete files. A crash may leave incomplete ones."""
        rows = []
        for path in self.out.glob("*.parquet"):
            try:
                rows += pq.read_table(path).to_pylist()
            except pa.ArrowInvalid:
                continue
        return sorted(rows, key=lambda row: row["id"])

    def texts(self) -> list[str]:
        """The texts whose vectors are written."""
        return sorted(row["text"] for row in self.rows())


@pytest.fixture
def job_on(request, relay, tmp_path):
    """The example of an engine, with 30 texts to embed in three files."""

    def job(engine: str) -> Job:
        environment = {"RAY_ADDRESS": request.getfixturevalue("ray_address")} if engine == "ray" else {}
        made = Job(f"embed_corpus_{engine}.py", relay, tmp_path / "corpus", tmp_path / "out", environment)
        for name in "abc":
            made.add(name, {f"{name}{number}": f"text {name} {number}" for number in range(10)})
        return made

    return job


@pytest.fixture(params=["dask", "ray"])
def job(request, job_on):
    return job_on(request.param)


def kill(process: subprocess.Popen[str]) -> None:
    """End a process and all that it started, as an operator or the kernel would: without a warning."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def wait_until(condition) -> None:
    """Wait for what other processes do."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)
