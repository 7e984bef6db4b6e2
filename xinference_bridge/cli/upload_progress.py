"""A progress bar for long uploads, on standard error if it is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xinference_bridge.cli.console import messages
from xinference_bridge.printable import harmless

#: A shorter file is sent before anyone could read a bar.
_SHORTEST = 4 * 2**20


@contextmanager
def upload_progress(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a callback for the bytes sent and their total; None if standard error is not a terminal."""
    console = messages()
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"sending {harmless(name)}", total=None, visible=False)

        def show(sent: int, total: int) -> None:
            waits = sent >= total
            progress.update(
                task,
                completed=sent,
                total=total,
                visible=total >= _SHORTEST,
                description=f"waiting for {harmless(name)}" if waits else f"sending {harmless(name)}",
            )

        yield show
