"""`launch`, `stop` and `status`: launch models with a progress bar, terminate them, and list their state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from xinference_bridge.cli.console import messages
from xinference_bridge.cli.options import UsageError
from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.printable import harmless
from xinference_bridge.protocol.launch import LaunchProgress, ModelStatus
from xinference_bridge.protocol.model_info import ModelInfo

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.progress import Progress

_STATUS_STYLES = {"READY": "green", "ERROR": "bold red", "CREATING": "yellow"}


def launched(connection: XinferenceConnection, name: str, *, wait: bool, **options: Any) -> ModelInfo:
    """Launch a model; with `wait`, show a progress bar on standard error if that is a terminal.

    Ctrl-C ends the wait, not the launch, and a message says so.
    """
    begun: LaunchProgress | None = None
    try:
        with _bar() if wait else nullcontext() as progress:
            task = progress.add_task(f"launching {name}", total=1.0) if progress is not None else None

            def show(now: LaunchProgress) -> None:
                nonlocal begun
                begun = now
                if progress is not None and task is not None:
                    stage = now.stage or now.status.lower()
                    progress.update(task, completed=now.fraction, description=f"{name}: {harmless(stage)}")

            return connection.launch(name, wait=wait, on_progress=show if progress is not None else None, **options)
    except KeyboardInterrupt:
        if begun is not None:
            uid = harmless(begun.uid)
            messages().print(
                f"{uid} is still loading on the server. `xinference-bridge status` shows it; once it is ready, "
                f"`xinference-bridge stop {uid}` ends it.",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        raise


def extra_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Return `--option name=value` pairs as keywords. A value that is valid JSON is parsed.

    Raises:
        UsageError: A pair has no equals sign.
    """
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--option {pair!r}: must be NAME=VALUE, such as --option n_ctx=8192")
        try:
            found[name.replace("-", "_")] = json.loads(value)
        except ValueError:
            found[name.replace("-", "_")] = value
    return found


def print_statuses(statuses: Sequence[ModelStatus], console: Console) -> None:
    """Print one row per model, with the reason for each failure below."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading in ("UID", "Name", "Status", "Replicas"):
        table.add_column(heading, no_wrap=heading != "Name")
    for model in statuses:
        ready = sum(replica.status == "READY" for replica in model.replicas)
        status = Text(harmless(model.status), style=_STATUS_STYLES.get(model.status, ""))
        table.add_row(
            Text(harmless(model.uid), style="bold cyan"), harmless(model.name), status, f"{ready}/{len(model.replicas)}"
        )
    console.print(table)
    for model in statuses:
        if model.error:
            console.print(Text(f"{harmless(model.uid)}: {harmless(model.error)}"), soft_wrap=True)


def statuses_as_json(statuses: Sequence[ModelStatus]) -> str:
    """Return every model with all its fields, as JSON text."""
    return json.dumps([asdict(model) for model in statuses], indent=2, ensure_ascii=False)


def _bar() -> AbstractContextManager[Progress | None]:
    console = messages()
    if not console.is_terminal:
        return nullcontext()
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)
