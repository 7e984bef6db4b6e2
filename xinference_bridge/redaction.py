"""Keep credentials out of tracebacks, printed locals and errors."""

from __future__ import annotations

import copy
from typing import TypeVar

from xinference_bridge.errors import XinferenceError

E = TypeVar("E", bound=BaseException)


class Secret(str):
    """A string that is sent unchanged but masked in `repr`, and so in printed locals and dicts."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**********'"


def copy_of(error: E) -> E:
    """Return a copy of the error without its traceback, so that a shared error does not collect frames."""
    if not isinstance(error, XinferenceError):
        return error  # not every exception can be copied
    twin = copy.copy(error)
    twin.__traceback__ = None
    twin.__cause__ = error.__cause__
    twin.__suppress_context__ = True
    return twin


def without_frames(failure: E) -> E:
    """Return the failure with all tracebacks in its chain removed.

    Frames of HTTP libraries and of a login contain the credential.
    """
    seen: set[int] = set()
    link: BaseException | None = failure
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = None
        if hasattr(link, "request"):  # requests' own errors carry the request, with its headers
            link.request = None
        link = link.__cause__ or link.__context__
    return failure
