"""Streams from the lab to 1 to 256 concurrent callers through each bridge, with and without a restart of the server.

`make lab`, then `make bench-load`: four runs of five minutes, each in a separate process (`load_run.py`). Writes
benchmarks/LOAD.md and its plot. The restart leaves a lab with one model, so the next `make lab` starts a new one.

    python -m benchmarks.load [SECONDS OF A RUN]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

import orjson

from benchmarks.load_report import Outage, write
from benchmarks.load_run import UID, LoadRun
from lab.environment import ensure_environment
from lab.families import LAUNCHES
from lab.launch import wait_until_ready
from lab.rest import Rest
from lab.server import known_server, restart_server, wait_until_it_answers

BRIDGES = ("langchain", "llamaindex")
SECONDS = 300.0


def main(seconds: float) -> None:
    """Measure and write the results. The runs that restart the server come last."""
    steady = [_run(bridge, seconds, restart=False)[0] for bridge in BRIDGES]
    restarted = [_run(bridge, seconds, restart=True) for bridge in BRIDGES]
    write(steady, [run for run, _ in restarted], [outage for _, outage in restarted if outage is not None])


def _run(bridge: str, seconds: float, *, restart: bool) -> tuple[LoadRun, Outage | None]:
    print(f"{bridge}: {seconds:.0f} s" + (", the server restarted halfway" if restart else ""), flush=True)
    with tempfile.TemporaryFile() as found:
        command = [sys.executable, "-m", "benchmarks.load_run", bridge, str(seconds)]
        with subprocess.Popen(command, stdout=found, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            said = process.stderr.readline()
            outage = _restart(seconds / 2) if restart and said == "begin\n" else None
            sys.stderr.writelines(said for said in process.stderr)
        if process.returncode != 0 or said != "begin\n":
            sys.exit(f"the run ended with {process.returncode}: {said}")
        found.seek(0)
        run: LoadRun = orjson.loads(found.read())
    print(
        f"  {len(run['streams'])} streams, {len(run['failures'])} failed, {run['wrong']} answered otherwise", flush=True
    )
    return run, outage


def _restart(after: float) -> Outage:
    """Restart the server. Return when it stopped and when its model was ready again, in seconds of the run."""
    began = time.perf_counter()
    time.sleep(after)
    server = known_server()
    if server is None:
        sys.exit("no lab is running here")
    gone = time.perf_counter() - began
    server = restart_server(server, ensure_environment(server.version))
    wait_until_it_answers(server)
    who = {"username": os.environ["XINFERENCE_USERNAME"], "password": os.environ["XINFERENCE_PASSWORD"]}
    rest = Rest(server.endpoint, Rest(server.endpoint).post("/token", who)["access_token"])
    launch = next(launch for launch in LAUNCHES if launch.uid == UID)
    rest.post("/v1/models", launch.payload(), timeout=600)
    wait_until_ready(rest, launch)
    return {"gone": gone, "ready": time.perf_counter() - began}


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)
