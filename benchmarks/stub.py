"""Starts the stub server in a separate process, and ends that process by its id."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def running_stub(lifetime: float = 1800.0) -> Iterator[str]:
    """Yield the URL of a stub server that runs until the block ends, at most `lifetime` seconds."""
    command = [sys.executable, "-m", "benchmarks.stub_server", "--lifetime", str(lifetime)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            if not port:
                raise RuntimeError("The stub server did not start; its error stands above.")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
