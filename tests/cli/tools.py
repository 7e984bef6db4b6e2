"""Runs the command in this process or a separate one, and a server that answers like Xinference."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from typer.testing import CliRunner

from tests.support.fault_proxy import FaultServer, http
from xinference_bridge.cli.app import app

if TYPE_CHECKING:
    from tests.support.lab import Lab

COMMAND = [sys.executable, "-c", "from xinference_bridge.cli import main; main()"]


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed where."""

    status: int
    out: str
    err: str


def run(*arguments: str | Path, piped: str = "") -> Ran:
    """The command in this process, with nothing at its input but what is piped in."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=piped)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def run_apart(*arguments: str | Path, piped: str = "", **variables: str) -> Ran:
    """Run the command as a user does: in a separate process, with its output piped."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=piped,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, **variables},
        check=False,
        timeout=60,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def to_lab(lab: Lab) -> list[str]:
    """The options that lead to the lab."""
    return ["--server-url", lab.url, "--api-key", lab.api_key]


def says(server: FaultServer, path: str, *answers: Any, status: int = 200) -> FaultServer:
    """Let the server answer this path with these JSON values, one a request, the last one for ever."""
    return server.on(path, *(http(status, orjson.dumps(answer)) for answer in answers))


def model(uid: str, kind: str = "LLM", **more: Any) -> dict[str, Any]:
    """One running model as `/v1/models` of 4.1.0 describes it."""
    abilities = {"LLM": ["generate", "chat"], "embedding": ["embed"], "rerank": ["rerank"]}.get(kind, [])
    wire = {
        "id": uid,
        "model_type": kind,
        "model_name": uid,
        "model_ability": abilities,
        "model_engine": "transformers",
    }
    return {**wire, "replica": 1, **more}


def xinference(server: FaultServer, *models: dict[str, Any], auth: bool = False) -> FaultServer:
    """Make the server answer like Xinference with these running models."""
    says(server, "/v1/cluster/auth", {"auth": auth})
    says(server, "/status", {"uptime": 61, "workers": {"127.0.0.1:1": {}}})
    says(server, "/v1/cluster/version", {"version": "4.1.0"})
    for one in models:
        says(server, f"/v1/models/{one['id']}", one)
    return says(server, "/v1/models", {"object": "list", "data": list(models)})


def without_colours(text: str) -> str:
    """The text as it is read."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@contextmanager
def filled_pipe(content: bytes) -> Iterator[Path]:
    """The path of a pipe that can be read once, as a shell makes it for `<(cat a.txt)`."""
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    try:
        yield Path(f"/dev/fd/{reader}")
    finally:
        os.close(reader)
