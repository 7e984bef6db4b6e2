"""The short traceback that a notebook shows of an error: the lines of the caller's own code, then the message."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

_PROJECT = Path(__file__).parent.parent
_LIBRARIES = (
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    # Where the package is installed from a checkout, it lies outside of site-packages.
    *(
        str(_PROJECT / name)
        for name in ("xinference_bridge", "langchain_xinference_bridge", "llamaindex_xinference_bridge")
    ),
)


def short_traceback(error: BaseException) -> list[str]:
    """Return the lines to show: where the caller's code was, what went wrong, and how to see all of it."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_library(frame.filename)]
    where = [f"  {_place(frame)}, line {frame.lineno}: {frame.line}".rstrip(": ") for frame in own]
    full = "(Full traceback: import traceback; traceback.print_last())"
    return [*where, f"{type(error).__name__}: {error}", full]


def _is_library(filename: str) -> bool:
    inside = {"site-packages", "dist-packages"} & set(Path(filename).parts)
    return bool(inside) or filename.startswith((*_LIBRARIES, "<frozen"))


def _place(frame: traceback.FrameSummary) -> str:
    # IPython calls a cell <ipython-input-3-0a1b2c>, ipykernel /tmp/ipykernel_42/1234.py.
    is_cell = "ipykernel_" in frame.filename or frame.filename.startswith("<ipython-input")
    place = "cell" if is_cell else Path(frame.filename).name
    return place if frame.name.startswith("<") else f"{place}, in {frame.name}"
