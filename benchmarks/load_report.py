"""Writes LOAD.md and its plot from the runs under load."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.load_run import LEVELS, WARM_UP_SECONDS, LoadRun, Stream

HERE = Path(__file__).parent
RESULTS, CHART = HERE / "LOAD.md", HERE / "load.svg"
NAMES = {"langchain": "LangChain `astream`", "llamaindex": "LlamaIndex `astream_chat`"}
_COLOURS = {"langchain": "#2a7f62", "llamaindex": "#a85a26"}
_BIN_SECONDS = 5
_RECORD: Stream = {"at": 1.5, "callers": 1, "first": 0.5, "whole": 0.5}
#: The size of a dict, its three numbers (those of callers are shared) and its reference in the list.
_RECORD_BYTES = sys.getsizeof(_RECORD) + 3 * sys.getsizeof(1.5) + 8


class Outage(TypedDict):
    """When the server stopped, and when its model was ready again, in seconds of the run."""

    gone: float
    ready: float


def write(steady: Sequence[LoadRun], restarted: Sequence[LoadRun], outages: Sequence[Outage]) -> None:
    """Write both files."""
    _draw(steady, restarted, outages)
    lines = [_head(), *_summary([*steady, *restarted], ["undisturbed"] * len(steady) + ["restarted"] * len(restarted))]
    for run in steady:
        lines += ["", f"## {NAMES[run['bridge']]}, by callers", "", *_levels(run)]
    for run, outage in zip(restarted, outages, strict=True):
        lines += ["", f"## {NAMES[run['bridge']]}, the server restarted", "", *_restart(run, outage)]
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _head() -> str:
    return f"""# Under load

Written by `make bench-load` on {datetime.now(timezone.utc):%Y-%m-%d}; do not edit.

The server, the model and the callers share {os.cpu_count()} cores. Xinference \
{os.environ.get("LAB_XINFERENCE", "?")}, the lab's tiny chat model on llama.cpp with one thread and four slots. \
Python {platform.python_version()}, langchain-core {version("langchain-core")}, \
llama-index-core {version("llama-index-core")}.

{LEVELS[0]} to {LEVELS[-1]} callers, equal time at each level, on one connection in one event loop; a caller sends its
next request as soon as it has its answer. Every answer is compared with the answer to the same question without load.
Throughput depends on the server; this benchmark shows that every stream completes, and what that costs. Times are in
seconds.

![Streams a second, time to the first token, and memory, over five minutes](load.svg)

## Summary

Idle: after {WARM_UP_SECONDS:.0f} s with {LEVELS[-1]} callers, and after the run, each time 8 s later, when the server
has closed idle sockets. The benchmark's own record of a stream takes {_RECORD_BYTES} bytes:
{10_000 * _RECORD_BYTES / 2**20:.1f} MiB for 10,000 streams.
"""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


def _summary(runs: Sequence[LoadRun], servers: Sequence[str]) -> list[str]:
    """Return the summary table, with one column per run so that it fits on a phone."""
    columns = [
        [
            f"{NAMES[run['bridge']]}, server {server}",
            f"{len(run['streams']):,}",
            str(len(run["failures"])),
            str(run["wrong"]),
            f"{run['before']['mib']:.1f}, {run['after']['mib']:.1f}",
            f"{max(sample['mib'] for sample in run['samples']):.1f}",
            f"{run['before']['descriptors']}, {run['after']['descriptors']}",
            str(max(sample["descriptors"] for sample in run["samples"])),
        ]
        for run, server in zip(runs, servers, strict=True)
    ]
    names = (
        "",
        "streams completed",
        "failed",
        "wrong answers",
        "memory when idle, before and after (MiB)",
        "peak memory (MiB)",
        "file descriptors when idle, before and after",
        "peak file descriptors",
    )
    rows = [f"| {' | '.join(row)} |" for row in zip(names, *columns, strict=True)]
    rows[0] = rows[0].replace("|  |", "| |")
    return [rows[0], "|---" * (len(runs) + 1) + "|", *rows[1:]]


def _levels(run: LoadRun) -> list[str]:
    lines = [
        "| callers | streams/s | first token p50 | p95 | p99 | complete answer p50 | p95 | p99 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for callers in LEVELS:
        streams = [stream for stream in run["streams"] if stream["callers"] == callers]
        if not streams:  # in a short run, a level may end before its callers are free
            lines.append(f"| {callers} |" + " – |" * 7)
            continue
        taken = _span(streams)
        first, whole = [stream["first"] for stream in streams], [stream["whole"] for stream in streams]
        cells = [f"{percentile(values, share):.2f}" for values in (first, whole) for share in (0.5, 0.95, 0.99)]
        lines.append(f"| {callers} | {len(streams) / taken:.1f} | {' | '.join(cells)} |")
    return lines


def _span(streams: Sequence[Stream]) -> float:
    """Return the seconds from the first start to the last end."""
    ends = [stream["at"] + stream["whole"] for stream in streams]
    return max(ends) - min(stream["at"] for stream in streams)


def _restart(run: LoadRun, outage: Outage) -> list[str]:
    kinds = Counter(failure["kind"] for failure in run["failures"])
    outside = [f for f in run["failures"] if not outage["gone"] <= f["at"] <= outage["ready"] + 1]
    ends = [stream["at"] + stream["whole"] for stream in run["streams"]]
    named = ", ".join(f"{count} `{kind}`" for kind, count in kinds.most_common()) or "none"
    served = [end for end in ends if end > outage["ready"]]
    return [
        f"Killed after {outage['gone']:.0f} s; the model ready again {outage['ready'] - outage['gone']:.0f} s later.",
        f"Failed: {named}; {len(outside)} of them before the kill or more than a second after the model was ready.",
        f"The first stream after that ended {min(served, default=math.nan) - outage['ready']:.1f} s later, through the",
        f"same objects; {len(served):,} did in all.",
    ]


def _draw(steady: Sequence[LoadRun], restarted: Sequence[LoadRun], outages: Sequence[Outage]) -> None:
    """Draw three rows over the time of a run: streams per second, time to the first token, resident memory."""
    mpl.rcParams["svg.hashsalt"] = "xinference-bridge"  # the same data gives the same file
    figure = Figure(figsize=(10, 8), layout="constrained")
    rows = figure.subplots(3, 2, sharex="col", sharey="row")
    for column, runs in enumerate((steady, restarted)):
        for run in runs:
            colour, name = _COLOURS[run["bridge"]], NAMES[run["bridge"]].replace("`", "")
            bins = _binned(run)
            middle = [(number + 0.5) * _BIN_SECONDS for number in bins]
            rows[0][column].plot(middle, [len(some) / _BIN_SECONDS for some in bins.values()], color=colour, label=name)
            for share, style in ((0.5, "-"), (0.99, ":")):
                times = [percentile([stream["first"] for stream in some], share) for some in bins.values()]
                rows[1][column].plot(middle, times, style, color=colour, label=f"{name}, p{share * 100:.0f}")
            samples = run["samples"]
            rows[2][column].plot([s["at"] for s in samples], [s["mib"] for s in samples], color=colour, label=name)
        rows[0][column].set_title("server undisturbed" if column == 0 else "server restarted")
        rows[2][column].set_xlabel("seconds of the run")
    rows[0][0].set_ylabel("streams per second")
    rows[1][0].set_ylabel("first token, s")
    rows[1][0].set_yscale("log")
    rows[2][0].set_ylabel("resident memory, MiB")
    rows[2][0].set_ylim(bottom=0)
    for outage, run in zip(outages, restarted, strict=True):
        for row in rows:
            row[1].axvspan(outage["gone"], outage["ready"], color=_COLOURS[run["bridge"]], alpha=0.12, linewidth=0)
    seconds = steady[0]["seconds"]
    for number, callers in enumerate(LEVELS):
        at = seconds * (number + 0.5) / len(LEVELS)
        rows[0][0].text(
            at, 1.0, str(callers), transform=rows[0][0].get_xaxis_transform(), ha="center", va="top", fontsize=7
        )
    rows[0][0].text(0.0, 0.93, "callers", transform=rows[0][0].transAxes, ha="left", va="top", fontsize=7)
    for row in rows:
        row[0].legend(fontsize=7, frameon=False)
        for axes in row:
            axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(CHART, format="svg", metadata={"Date": None, "Creator": None})


def _binned(run: LoadRun) -> dict[int, list[Stream]]:
    """Group the streams by their end time into bins of five seconds, including empty bins."""
    last = int(max(stream["at"] + stream["whole"] for stream in run["streams"]) // _BIN_SECONDS)
    bins: dict[int, list[Stream]] = {number: [] for number in range(last + 1)}
    for stream in run["streams"]:
        bins[int((stream["at"] + stream["whole"]) // _BIN_SECONDS)].append(stream)
    return bins
