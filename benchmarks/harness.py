"""Measures contenders turn about in one process, so that the machine's mood falls on all of them alike."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Run = Callable[[], object]

#: "wall", or "cpu": the processor time of this process, for a machine that is busy with other things.
CLOCK = os.environ.get("BENCH_CLOCK", "wall")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "11"))
now = time.process_time if CLOCK == "cpu" else time.perf_counter


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work, done by several contenders; the first is ours.

    `calls`: how many runs make one measurement, so that it is long beside the clock. `unit` is what the times are told
    in, and `per` how many of that unit one run holds.
    """

    name: str
    contenders: Mapping[str, Run]
    calls: int = 1
    rounds: int = ROUNDS
    unit: str = "ms"
    per: int = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """The median milliseconds of each contender's run, and what ours took over each other's."""

    name: str
    milliseconds: dict[str, float]
    ratios: dict[str, float]
    """Contender → median over the rounds of ours / theirs, both measured within the same second."""


def measure(work: Work, warm_up: int = 2) -> Measured:
    """Run every contender in turn, `rounds` times over; who begins changes from round to round."""
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
    """Seconds for one run. What an earlier contender left for the garbage collector is not charged to this one."""
    gc.collect()
    began = now()
    for _ in range(calls):
        run()
    return (now() - began) / calls
