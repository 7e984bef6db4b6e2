"""Kills one of two servers under load and restarts it, and records the outcome of every call.

`make lab`, then `make bench-failover`: starts a second, small lab, which is the first server of the connection; the lab
is its fallback. Writes benchmarks/FAILOVER.md and its figures as JSON. Takes about six minutes.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import orjson

from benchmarks.failover_load import Load, Outcome
from lab.environment import ensure_environment
from lab.families import LAUNCHES
from lab.launch import wait_until_ready
from lab.paths import ENV_FILE, STATE
from lab.processes import end_family
from lab.rest import Rest
from lab.server import Server, known_server, restart_server, wait_until_it_answers
from xinference_bridge import XinferenceConnection

HERE = Path(__file__).parent
MODELS = ("minilm", "tiny-rerank", "tiny-chat")
#: Seconds with both servers, with only the fallback, and with both again.
BEFORE, WITHOUT, AFTER = 20.0, 20.0, 20.0


def main() -> None:
    """Measure, write the results, and stop the second lab."""
    if STATE.name == ".lab":
        sys.exit(
            "LAB_STATE must name another folder than that of the lab, which is not killed: use make bench-failover"
        )
    fallback = XinferenceConnection(os.environ["XINFERENCE_ENDPOINT"], api_key=os.environ["XINFERENCE_API_KEY"])
    lab = [sys.executable, "-m", "lab"]
    models = ",".join(MODELS)
    start = [*lab, "start", "--only", models, "--uids", models]
    subprocess.run(start, check=True, env=os.environ | {"LAB_PORT": "9998"})
    try:
        outcomes, marks = _run(fallback)
    finally:
        subprocess.run([*lab, "stop"], check=True)
    print(_write(outcomes, marks))


def _write(outcomes: list[Outcome], marks: dict[str, float]) -> str:
    report = _report(outcomes, marks)
    (HERE / "FAILOVER.md").write_text(report, encoding="utf-8")
    (HERE / "failover.json").write_bytes(orjson.dumps(_figures(outcomes, marks), option=orjson.OPT_INDENT_2) + b"\n")
    return report


def _run(fallback: XinferenceConnection) -> tuple[list[Outcome], dict[str, float]]:
    server = known_server()
    if server is None:
        sys.exit("the second lab did not start")
    who = dict(line.split("=", 1) for line in ENV_FILE.read_text(encoding="utf-8").splitlines())
    connection = XinferenceConnection(server.endpoint, api_key=who["XINFERENCE_API_KEY"], fallbacks=[fallback])
    load = Load(connection)
    watch = _Watch(load)
    load.start()
    marks = {}
    try:
        time.sleep(BEFORE)
        marks["killed"] = load.now()
        end_family(server.pid, patience=0)
        time.sleep(WITHOUT)
        marks["started again"] = load.now()
        _write(list(load.outcomes), marks)  # in case the server does not come back, as on a machine that is too busy
        _bring_back(server, who)
        marks["models ready"] = load.now()
        marks["called again"] = watch.wait_until_called(load, patience=120.0)
        time.sleep(AFTER)
        marks["end"] = load.now()
    finally:
        outcomes = load.stop()
        watch.stop()
        connection.close()
    return outcomes, marks


def _bring_back(server: Server, who: dict[str, str]) -> None:
    """Start the server with its old home and launch its models again, in parallel."""
    server = restart_server(server, ensure_environment(server.version))
    wait_until_it_answers(server)
    login = {"username": who["XINFERENCE_USERNAME"], "password": who["XINFERENCE_PASSWORD"]}
    rest = Rest(server.endpoint, Rest(server.endpoint).post("/token", login)["access_token"])
    launches = [launch for launch in LAUNCHES if launch.uid in MODELS]
    with ThreadPoolExecutor(len(launches)) as pool:
        for done in [pool.submit(rest.post, "/v1/models", launch.payload(), 1200) for launch in launches]:
            done.result()
    for launch in launches:
        wait_until_ready(rest, launch)


class _Watch:
    """Checks four times per second whether the first server is skipped."""

    def __init__(self, load: Load) -> None:
        servers = load.connection.client.requests._servers  # noqa: SLF001 - not public
        assert servers is not None
        self._first = servers._servers[0]  # noqa: SLF001 - as above
        self._stopped = threading.Event()

    def wait_until_called(self, load: Load, patience: float) -> float:
        """Wait until the server has answered again. Return the time in seconds of the run."""
        until = time.monotonic() + patience
        while self._first.failing and time.monotonic() < until:
            self._stopped.wait(0.25)
        return load.now()

    def stop(self) -> None:
        """End a wait."""
        self._stopped.set()


def _figures(outcomes: list[Outcome], marks: dict[str, float]) -> dict[str, object]:
    lost = [outcome for outcome in outcomes if outcome.error and not outcome.broken]
    broken = [outcome for outcome in outcomes if outcome.broken]
    over = [outcome for outcome in outcomes if outcome.began <= marks["killed"] < outcome.ended]
    return {
        "marks": {name: round(seconds, 1) for name, seconds in marks.items()},
        "calls": len(outcomes),
        "answered": sum(not outcome.error for outcome in outcomes),
        "lost": len(lost),
        "streams broken": len(broken),
        "answered otherwise": sum(outcome.wrong for outcome in outcomes),
        "in flight at the kill": len(over),
        "longest call over the kill": round(max((each.ended - each.began for each in over), default=0.0), 1),
        "errors": Counter(outcome.error.partition(":")[0] for outcome in (*lost, *broken)),
    }


def _report(outcomes: list[Outcome], marks: dict[str, float]) -> str:
    figures = _figures(outcomes, marks)
    phases = {
        "both": (0.0, marks["killed"]),
        "fallback alone": (marks["killed"], marks.get("models ready", math.inf)),
        "both again": (marks.get("called again", math.inf), marks.get("end", math.inf)),
    }
    lines = [
        "# Failover under load",
        "",
        "Two Xinference 4.1.0 on one machine with two cores, sixteen callers: chat, streams, embeddings and rerank,",
        "sync and async, through both bridges, over one connection. The first server is killed by its process id, and",
        "brought back with its models. Written by `make bench-failover`.",
        "",
        "| event | second |",
        "| --- | ---: |",
        *(f"| {name} | {seconds:.0f} |" for name, seconds in marks.items()),
        "",
        "| outcome | calls |",
        "| --- | ---: |",
        *(f"| {name} | {figures[name]} |" for name in ("calls", "answered", "lost", "streams broken")),
        *(f"| {name} | {figures[name]} |" for name in ("answered otherwise", "in flight at the kill")),
        "",
        f"The longest call in flight at the kill took {figures['longest call over the kill']} s. *Lost*: a call failed",
        "though nothing of its answer had come. *Streams broken*: text had come; the caller gets it with an",
        "`XinferenceStreamError`.",
        "",
        "| call | " + " | ".join(f"{phase}: calls, median ms" for phase in phases) + " | lost | broken |",
        "| --- |" + " ---: |" * (len(phases) + 2),
    ]
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.kind == kind]
        cells = [_median([each for each in mine if begin <= each.began < end]) for begin, end in phases.values()]
        lost = sum(bool(each.error) and not each.broken for each in mine)
        lines.append(f"| {kind} | {' | '.join(cells)} | {lost} | {sum(each.broken for each in mine)} |")
    errors = sorted({outcome.error for outcome in outcomes if outcome.error})
    if errors:
        lines += ["", "The errors:", "", *(f"- `{error[:300]}`" for error in errors[:10])]
    return "\n".join(lines) + "\n"


def _median(outcomes: list[Outcome]) -> str:
    took = [outcome.ended - outcome.began for outcome in outcomes if not outcome.error]
    return f"{len(took)}, {1000 * median(took):.0f}" if took else "0"


if __name__ == "__main__":
    main()
