"""The doctor's report: as text, step by step, or as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from xinference_bridge.cli.console import mark, print_hanging, speaks_unicode
from xinference_bridge.cli.doctor import Examination, Step
from xinference_bridge.printable import harmless, harmless_json
from xinference_bridge.version import __version__

_NAME_WIDTH = len("type and engine")
_INDENT = 2 + _NAME_WIDTH + 2


def all_is_well(steps: Iterable[Step]) -> bool:
    """Return whether no step failed. A warning is a limitation, not a failure."""
    return all(step.status != "failed" for step in steps)


def print_steps(examination: Examination, console: Console) -> bool:
    """Print each step when it is done, then a summary. Return whether no step failed.

    The steps after a failed one share one line.
    """
    failed: Step | None = None
    unseen = []
    for step in examination.steps():
        if failed is not None:
            unseen.append(step.name)
            continue
        _print_step(step, console)
        if step.status == "failed":
            failed = step
    if failed is None:
        console.print(Text("\nNo problems found.", style="bold green"))
        return True
    if unseen:
        _print_step(Step("skipped", "skipped", f"{_listed(unseen)}, because of: {failed.name}"), console)
    console.print(Text.assemble(("\nProblem found: ", "bold red"), f"{failed.name} (see above)."))
    return False


def steps_as_json(examination: Examination) -> tuple[str, bool]:
    """Return all steps as JSON text, and whether none failed."""
    steps = list(examination.steps())
    well = all_is_well(steps)
    report = {
        "ok": well,
        "server_url": examination.server_url,
        "bridge_version": __version__,
        "steps": [asdict(step) for step in steps],
    }
    return harmless_json(json.dumps(report, indent=2, ensure_ascii=False)), well


def _print_step(step: Step, console: Console) -> None:
    style = "dim" if step.status == "skipped" else ""
    name = Text(f" {step.name:<{_NAME_WIDTH}}  ", style=style or "bold")
    first = Text.assemble(mark(step.status, console), name)
    print_hanging(first, Text(harmless(step.detail), style=style), console)
    if step.next_step is not None:
        arrow = "→" if speaks_unicode(console) else "->"
        print_hanging(Text(" " * _INDENT), Text(f"{arrow} {harmless(step.next_step)}", style="yellow"), console)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
