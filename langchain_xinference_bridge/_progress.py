"""A bar that shows how far a long embedding is, where tqdm is installed and one was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xinference_bridge.errors import XinferenceConfigurationError


@contextmanager
def progress(wanted: bool, total: int | None) -> Iterator[Callable[[int], object]]:
    """What to call with the number of texts that were just done.

    Raises XinferenceConfigurationError that says how to install tqdm, when a bar is wanted and it is missing.
    """
    if not wanted:
        yield _ignore
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        msg = "show_progress=True needs tqdm: pip install tqdm"
        raise XinferenceConfigurationError(msg) from None
    with tqdm(total=total, unit="text") as bar:
        yield bar.update


def _ignore(count: int) -> None:
    """Nobody watches."""
