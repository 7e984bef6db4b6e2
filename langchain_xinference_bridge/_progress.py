"""The progress bar of `show_progress=True`, which needs tqdm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from xinference_bridge.errors import XinferenceConfigurationError


@contextmanager
def progress(wanted: bool, total: int | None) -> Iterator[Callable[[int], object]]:
    """Return a function to call with the number of texts that were just embedded.

    Raises XinferenceConfigurationError with the install command if tqdm is needed but missing.
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
    """Do nothing."""
