"""The chart in RESULTS.md, drawn from the newest run."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks import goals
from benchmarks.report import CHART, Run

_COLOURS = {"ours": "#2a7f62", goals.FLOOR: "#b9c4c0"}
_PEER = "#a85a26"
#: The length at which a bar's label no longer fits next to it, and the length at which bars are cut off.
_LONG, _LONGEST = 10.0, 14.0


def draw(run: Run) -> None:
    """Draw a row for each kind of work. Ours is 1; the other bars show how many times as long the others take."""
    mpl.rcParams["svg.hashsalt"] = "xinference-bridge"  # the same data gives the same file
    works = list(run["works"].items())
    figure = Figure(figsize=(9, 0.75 * len(works) + 1.2), layout="constrained")
    axes = figure.subplots()
    place, ticks, labels = 0.0, [], []
    for name, row in works:
        bars = {"ours": 1.0, **{other: 1 / ratio for other, ratio in row["ratios"].items()}}
        ticks.append(place + (len(bars) - 1) / 2)
        labels.append(name)
        for contender, length in bars.items():
            axes.barh(place, length, height=0.85, color=_COLOURS.get(contender, _PEER))
            label = f"{contender} {length:.2g}×"
            if length > _LONG:  # no room next to the bar, which may also be cut off: the label goes inside
                label += " ▸" if length > _LONGEST else ""
                axes.text(min(length, _LONGEST) - 0.1, place, label, ha="right", va="center", fontsize=7, color="white")
            else:
                axes.text(length + 0.05, place, label, va="center", fontsize=7)
            place += 1
        place += 0.8
    axes.set_yticks(ticks, labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("time, as a multiple of ours (less is faster)")
    axes.set_xlim(0, min(_LONGEST, axes.get_xlim()[1] * 1.25))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(CHART, format="svg", metadata={"Date": None, "Creator": None})
