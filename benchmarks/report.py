"""Writes the results as a terminal table, RESULTS.md and a chart. The last three runs are kept in results.json."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

import orjson

from benchmarks import goals
from benchmarks.goals import Goal
from benchmarks.reasons import REASONS

HERE = Path(__file__).parent
RESULTS, CHART, DATA = HERE / "RESULTS.md", HERE / "results.svg", HERE / "results.json"
_KEPT = 3
_PACKAGES = (
    "langchain-core",
    "langchain-openai",
    "llama-index-core",
    "llama-index-llms-openai-like",
    "llama-index-embeddings-openai-like",
    "openai",
    "requests",
    "aiohttp",
    "orjson",
    "pydantic",
)


class Row(TypedDict):
    """One kind of work: median milliseconds by contender, and the ratio of ours to each other one."""

    milliseconds: dict[str, float]
    ratios: dict[str, float]


class Run(TypedDict):
    """One run of `make bench`.

    `growth` is the factor by which the time grows with ten times the work, by contender. `in_flight` is texts/s by
    replicas and requests in flight.
    """

    machine: str
    clock: str
    works: dict[str, Row]
    bounds: dict[str, float]
    growth: dict[str, dict[str, float]]
    in_flight: dict[str, dict[str, float]]


def machine() -> str:
    """Describe the machine without naming it."""
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return f"{os.cpu_count()} cores, Python {platform.python_version()}; {', '.join(found)}"


def kept_runs() -> list[Run]:
    """Return the last runs, the newest last."""
    runs: list[Run] = orjson.loads(DATA.read_bytes()) if DATA.exists() else []
    return runs


def keep(run: Run) -> list[Run]:
    """Add this run to the kept runs, and drop the oldest."""
    runs = [*kept_runs(), run][-_KEPT:]
    DATA.write_bytes(orjson.dumps(runs, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
    return runs


def ratio_of(run: Run, goal: Goal) -> float | None:
    """Return this run's ratio for a goal, or None if it was not measured."""
    row = run["works"].get(goal.work)
    return row["ratios"].get(goal.against) if row is not None else None


def table(run: Run) -> str:
    """Return the table of one run for the terminal."""
    lines = [f"{'work':50} {'ours':>9} {'other':>9}  ratio  goal"]
    for goal in goals.GOALS:
        row, ratio = run["works"].get(goal.work), ratio_of(run, goal)
        if row is None or ratio is None:
            lines.append(f"{goal.work:50} not measured against {goal.against}")
            continue
        times = row["milliseconds"]
        other = times.get(goal.against, times["ours"] / ratio)
        verdict = f"{ratio:5.2f} ≤ {goal.at_most:<5g} {_mark(ratio, goal.at_most)}"
        lines.append(f"{goal.work:50} {times['ours']:6.1f} ms {other:6.1f} ms  {verdict} {goal.against}")
    for bound in goals.BOUNDS:
        measured = run["bounds"].get(bound.what)
        if measured is not None:
            lines.append(
                f"{bound.what}: {measured:.3g} {bound.unit} ≤ {bound.at_most:g} {_mark(measured, bound.at_most)}"
            )
    for growth in goals.GROWTHS:
        lines.append(f"{growth.what}: {(grown := _grown(run, growth)):.3g} × {_mark(grown, growth.at_most)}")  # noqa: PERF401
    return "\n".join(lines)


def _mark(measured: float, at_most: float) -> str:
    return "met" if measured <= at_most else "MISSED"


def write_results(runs: list[Run]) -> None:
    """Write RESULTS.md from the kept runs."""
    last = runs[-1]
    numbered = " | ".join(f"run {number}" for number in range(1, len(runs) + 1))
    lines = [
        "# Results",
        "",
        "Written by `make bench`; do not edit. Ours, the floor and the peers run in one process, turn about, against a",
        "local server that replays a real server's answers. A **ratio** is ours / theirs: the median over rounds of",
        "two times measured within the same second. The machine's speed varies, the ratios little. How it is measured:",
        "the docstrings of `work.py`, `wire.py` (the floor's calls), `floors.py`, `bounds.py`, `growth.py`.",
        "",
        f"Machine of the last run: {last['machine']}.",
        *_clock_lines(runs),
        "",
        "![Ours against the floor and the peers](results.svg)",
        "",
        f"## The goals, in the last {len(runs)} runs",
        "",
        f"| work | against | at most | {numbered} | ours | theirs |",
        f"|---|---|---|{'---|' * (len(runs) + 2)}",
    ]
    lines += [_goal_line(runs, goal) for goal in goals.GOALS]
    lines += ["", "## Bounds", "", f"| what | at most | {numbered} |"]
    lines.append(f"|---|---|{'---|' * len(runs)}")
    for bound in goals.BOUNDS:
        cells = [_bound_cell(run["bounds"].get(bound.what), bound.at_most) for run in runs]
        lines.append(f"| {bound.what} | {bound.at_most:g} {bound.unit} | {' | '.join(cells)} |")
    lines += _growth_lines(runs)
    lines += _in_flight_lines(last["in_flight"])
    lines += ["", "## What falls short", ""]
    short = {name for run in runs for name in _missed(run)}
    lines += [f"- **{name}**: {REASONS.get(name, 'not explained yet')}" for name in sorted(short)] or ["Nothing did."]
    lab = HERE / "lab_results.md"
    if lab.exists():
        lines += ["", lab.read_text(encoding="utf-8").rstrip()]
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _clock_lines(runs: list[Run]) -> list[str]:
    numbers = [str(number) for number, run in enumerate(runs, 1) if run["clock"] == "cpu"]
    if not numbers:
        return []
    return [
        "",
        f"**Run {', '.join(numbers)}: processor time of the client's process, not time on the clock**: the machine",
        "was busy with other work (`BENCH_CLOCK=cpu make bench`). Waiting for the server is not in it. The wait for a",
        "piece of a stream is always told by the clock.",
    ]


def _goal_line(runs: list[Run], goal: Goal) -> str:
    ratios = [ratio_of(run, goal) for run in runs]
    cells = ["-" if ratio is None else _bound_cell(ratio, goal.at_most) for ratio in ratios]
    row = runs[-1]["works"].get(goal.work)
    ours = theirs = "-"
    if row is not None:
        ours = f"{row['milliseconds']['ours']:.2f} ms"
        if goal.against in row["milliseconds"]:
            theirs = f"{row['milliseconds'][goal.against]:.2f} ms"
    return f"| {goal.work} | {goal.against} | {goal.at_most:g} | {' | '.join(cells)} | {ours} | {theirs} |"


def _bound_cell(measured: float | None, at_most: float) -> str:
    if measured is None:
        return "-"
    return f"{measured:.3g}" if measured <= at_most else f"**{measured:.3g}**, missed"


def _missed(run: Run) -> list[str]:
    names = [
        f"{goal.work}, against {goal.against}" for goal in goals.GOALS if (ratio_of(run, goal) or 0) > goal.at_most
    ]
    names += [growth.what for growth in goals.GROWTHS if _grown(run, growth) > growth.at_most]
    return names + [bound.what for bound in goals.BOUNDS if run["bounds"].get(bound.what, 0) > bound.at_most]


def _grown(run: Run, growth: goals.Growth) -> float:
    return run.get("growth", {}).get(growth.what, {}).get("ours", 0.0)


def _growth_lines(runs: list[Run]) -> list[str]:
    last = runs[-1].get("growth", {})
    if not last:
        return []
    others = list(dict.fromkeys(name for row in last.values() for name in row if name != "ours"))
    numbered = " | ".join(f"run {number}" for number in range(1, len(runs) + 1))
    lines = [
        "",
        "## Ten times the work",
        "",
        'How many times as long it takes. "No collector": with Python\'s cyclic garbage collector turned off, which is',
        "what the work itself grows by. Beside ours, the last run's numbers of the others.",
        "",
        f"| from … to … | at most | {numbered} | {' | '.join(others)} |",
        f"|---|---|{'---|' * (len(runs) + len(others))}",
    ]
    for growth in goals.GROWTHS:
        cells = [_bound_cell(_grown(run, growth) or None, growth.at_most) for run in runs]
        told = [f"{row[name]:.3g}" if name in (row := last.get(growth.what, {})) else "-" for name in others]
        lines.append(f"| {growth.what} | {growth.at_most:g} | {' | '.join(cells)} | {' | '.join(told)} |")
    return lines


def _in_flight_lines(measured: dict[str, dict[str, float]]) -> list[str]:
    if not measured:
        return []
    counts = sorted(next(iter(measured.values())), key=int)
    lines = [
        "",
        "## Requests in flight",
        "",
        "Texts a second of a model whose replicas each take one request after another (20 ms, and 1.5 ms a text), by",
        "the number of requests in flight. The default, 4, keeps two replicas busy and nearly four; more than there",
        "are replicas only wait at the server.",
        "",
        f"| replicas | {' | '.join(f'{count} in flight' for count in counts)} |",
        f"|---|{'---|' * len(counts)}",
    ]
    for replicas, speeds in measured.items():
        lines.append(f"| {replicas} | {' | '.join(f'{speeds[count]:.0f}' for count in counts)} |")
    return lines
