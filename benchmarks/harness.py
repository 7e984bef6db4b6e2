"""Measures contenders alternately in one process, so that the machine's load affects all of them equally."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Run = Callable[[], object]

#: "wall", or "cpu": the processor time of this process, for a busy machine.
CLOCK = os.environ.get("BENCH_CLOCK", "wall")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "11"))
now = time.process_time if CLOCK == "cpu" else time.perf_counter


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work, done by several contenders; the first is ours.

    `calls` is the number of runs in one measurement, so that it is long compared to the clock's resolution. `unit` is
    the unit of the reported times, and `per` the number of units in one run.
    """

    name: str
    contenders: Mapping[str, Run]
    calls: int = 1
    rounds: int = ROUNDS
    unit: str = "ms"
    per: int = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """The median milliseconds of each contender's run, and the ratio of ours to each other one."""

    name: str
    milliseconds: dict[str, float]
    ratios: dict[str, float]
    """Contender → median over the rounds of ours / theirs, both measured within the same second."""


def measure(work: Work, warm_up: int = 2) -> Measured:
    """Run every contender in turn, for `rounds` rounds. The first one changes from round to round."""
    names = list(work.contenders)
    for _ in range(warm_up):
        for name in names:
            work.contenders[name]()
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(work.rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            taken[name].append(_timed(work.contenders[name], work.calls))
    ours = taken[names[0]]
    return Measured(
        work.name,
        {name: statistics.median(times) * 1000 for name, times in taken.items()},
        {
            name: statistics.median(mine / theirs for mine, theirs in zip(ours, times, strict=True))
            for name, times in taken.items()
            if name != names[0]
        },
    )


def _timed(run: Run, calls: int) -> float:
    """Return the seconds for one run. Garbage of an earlier contender is collected before the run."""
    gc.collect()
    began = now()
    for _ in range(calls):
        run()
    return (now() - began) / calls
