"""`python -m benchmarks`: measure everything, print the table, write RESULTS.md and the chart. No result fails it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import orjson

from benchmarks import goals
from benchmarks.bounds import measure_bounds
from benchmarks.chart import draw
from benchmarks.growth import measure_growth
from benchmarks.harness import CLOCK, measure
from benchmarks.report import RESULTS, Row, Run, keep, machine, table, write_results
from benchmarks.stub import ROOT, running_stub
from benchmarks.stub_server import API_KEY
from benchmarks.wire import BATCH, TEXTS
from benchmarks.work import OURS, Contenders
from langchain_xinference_bridge import XinferenceEmbeddings
from xinference_bridge import XinferenceConnection

#: The environment of the peer that cannot be installed in ours; `make bench` creates it.
PEER_PYTHON = ROOT / ".venv-bench-peer" / "bin" / "python"


def main() -> None:
    """Measure everything once."""
    run: Run = {"machine": machine(), "clock": CLOCK, "works": {}, "bounds": {}, "growth": {}, "in_flight": {}}
    with running_stub() as url:
        contenders = Contenders(url)
        try:
            for work in contenders.works():
                measured = measure(work)
                run["works"][work.name] = {"milliseconds": measured.milliseconds, "ratios": measured.ratios}
                print(f"{work.name}: {measured.milliseconds[OURS]:.2f} ms", flush=True)
            _add_old_peer(url, run["works"][goals.EMBED])
            for bound, number in measure_bounds(url, contenders.loop):
                run["bounds"][bound.what] = number
                print(f"{bound.what}: {number:.3g} {bound.unit}", flush=True)
            run["growth"] = measure_growth(url)
            for what, ratios in run["growth"].items():
                print(f"{what}: {', '.join(f'{name} {ratio:.1f}' for name, ratio in ratios.items())}", flush=True)
            if CLOCK == "wall":
                run["in_flight"] = dict(_in_flight(url))
        finally:
            contenders.close()
    runs = keep(run)
    draw(run)
    write_results(runs)
    print(f"\n{table(run)}\n\nWritten: {RESULTS.relative_to(ROOT)}")


def _add_old_peer(url: str, row: Row) -> None:
    """Add the peer. Its ratio to the floor is measured in a separate process, ours to the same floor in this one."""
    if not PEER_PYTHON.exists():
        print(f"{goals.OLD} is not installed: left out")
        return
    command = [str(PEER_PYTHON), "-m", "benchmarks.peer_langchain_xinference", url]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    if answer.returncode:
        print(f"{goals.OLD} could not be measured:\n{answer.stderr[-2000:]}")
        return
    theirs = orjson.loads(answer.stdout)
    row["ratios"][goals.OLD] = row["ratios"][goals.FLOOR] / theirs["ratio"]
    row["milliseconds"][goals.OLD] = theirs["milliseconds"]["peer"]


def _in_flight(url: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Measure texts per second, by replicas of the model and requests in flight."""
    with XinferenceConnection(server_url=url, api_key=API_KEY) as connection:
        for replicas in (1, 2, 4):
            speeds = {}
            for count in (1, 2, 4, 8, 16):
                model = XinferenceEmbeddings(
                    model_uid=f"embed-r{replicas}", connection=connection, max_concurrency=count, batch_size=BATCH
                )
                began = time.perf_counter()
                model.embed_documents(TEXTS[: 16 * BATCH])
                speeds[str(count)] = 16 * BATCH / (time.perf_counter() - began)
            yield str(replicas), speeds


if __name__ == "__main__":
    main()
