"""Everything that can go wrong, as one tree.

XinferenceError
├── XinferenceConfigurationError    a setting or parameter is invalid (URL, parameter, redirect)
├── XinferenceConnectionError       the server was not reached, or hung up before it answered
├── XinferenceTimeoutError          it took longer than the caller wanted to wait
├── XinferenceAuthenticationError   401: no credential, or one that the server does not know
├── XinferencePermissionError       403: the credential is known, and may not do this
├── XinferenceRateLimitError        429: too many requests just now; waiting helps
├── XinferenceBannedError           429: too many wrong credentials came from this address
├── XinferenceModelNotFoundError    no model runs under this UID
├── XinferenceModelTypeError        the model is of another type than the call needs
├── XinferenceModelLoadingError     the model is there and not ready yet
├── XinferenceBadRequestError       the server refused what was sent
│   └── XinferenceContextOverflowError  the prompt is longer than the model's context
├── XinferenceUnsupportedError      this engine cannot do what was asked
├── XinferenceServerError           the server failed
├── XinferenceProtocolError         the answer is not what a Xinference sends
└── XinferenceStreamError           a stream broke off; `partial_text` has what came
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xinference_bridge.printable import harmless

if TYPE_CHECKING:
    from typing_extensions import Self

#: In a checkout our own frames do not lie in `site-packages`.
_PACKAGES = frozenset({"xinference_bridge", "langchain_xinference_bridge", "llamaindex_xinference_bridge"})


class XinferenceError(Exception):
    """Base of every error that this package raises.

    Survives pickling.

    Attributes:
        message: What went wrong, and the next step.
        url: The URL of the request; None where it is not known.
        model_uid: The UID of the model; None where it is not known.
        status_code: The HTTP status; None where there was no answer.
        request_id: The request's id in the server's log; None where the server sent none.
        body: The server's own words; None where there are none.
        retryable: Whether the same call may succeed on a retry.
        retry_after: Seconds that the server asked to wait; None where it did not.
    """

    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        url: str | None = None,
        model_uid: str | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
        body: str | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        # What a server said stands in both: printed, it must not move a cursor or reorder the line.
        message = harmless(message)
        super().__init__(message)
        self.message = message
        self.url = url
        self.model_uid = model_uid
        self.status_code = status_code
        self.request_id = request_id
        self.body = harmless(body) if body is not None else None
        self.retry_after = retry_after
        if retryable is not None:
            self.retryable = retryable

    def fill(self, *, url: str | None = None, model_uid: str | None = None, request_id: str | None = None) -> None:
        """Set the attributes that are still None.

        Args:
            url: The URL of the request.
            model_uid: The UID of the model.
            request_id: The request's id in the server's log.
        """
        self.url = self.url if self.url is not None else url
        self.model_uid = self.model_uid if self.model_uid is not None else model_uid
        self.request_id = self.request_id if self.request_id is not None else request_id

    def like(self, other: XinferenceError) -> Self:
        """Copy URL, model, status, request id and body of another error.

        Args:
            other: The error about the same answer.

        Returns:
            This error.
        """
        self.url = other.url if other.url is not None else self.url
        self.model_uid = self.model_uid if self.model_uid is not None else other.model_uid
        self.status_code, self.request_id, self.body = other.status_code, other.request_id, other.body
        return self

    def with_note(self, note: str) -> Self:
        """Add a sentence to the end of the message.

        Args:
            note: The sentence.

        Returns:
            This error.
        """
        ended = self.message.endswith((".", "!", "?", "…", ")", "]"))
        self.message += f"{'' if ended else '.'} {harmless(note)}"
        self.args = (self.message,)
        return self

    def __str__(self) -> str:
        return self.message

    def _render_traceback_(self) -> list[str]:
        """Return the traceback that IPython shows: the caller's own lines, without those of installed packages."""
        kind = type(self).__name__
        own = [frame for frame in traceback.extract_tb(self.__traceback__) if not _is_library(frame.filename)]
        lines = [f"  {_place(frame)}, in {frame.name}\n    {frame.line}" for frame in own]
        return ["Traceback (your own code; error.__traceback__ has all of it):", *lines, f"{kind}: {self.message}"]

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would call the class with `args` alone and lose the keyword attributes; a subclass that is
        # also an OSError would not even be built.
        return _rebuild, (type(self), self.__dict__.copy())


def _is_library(filename: str) -> bool:
    folders = Path(filename).parts
    return bool({"site-packages", "dist-packages", "importlib", "asyncio"} & set(folders)) or any(
        folder in _PACKAGES for folder in folders[:-1]
    )


def _place(frame: traceback.FrameSummary) -> str:
    # IPython compiles a cell under a file's name that means nothing to a person.
    cell = frame.filename.startswith("<ipython-input") or "ipykernel_" in frame.filename
    return f"Cell, line {frame.lineno}" if cell else f"{frame.filename}, line {frame.lineno}"


def _rebuild(cls: type[XinferenceError], state: dict[str, Any]) -> XinferenceError:
    error = cls(state["message"])
    error.__dict__.update(state)
    return error


class XinferenceConfigurationError(XinferenceError, ValueError):
    """A setting or parameter is invalid: the message names it and says what it takes."""


class XinferenceConnectionError(XinferenceError):
    """The server was not reached, or it hung up before it answered."""

    retryable = True
    stale_socket: bool = False
    """Whether a pooled connection was closed before any byte of an answer, as a server closes idle ones."""


class XinferenceTimeoutError(XinferenceError):
    """The server took longer than the caller wanted to wait."""


class XinferenceAuthenticationError(XinferenceError):
    """The server asked for a credential, or does not know the one it got (401).

    Never retried with the same credential: ten such failures make the server ban the address for an hour.
    """


class XinferencePermissionError(XinferenceError):
    """The credential is known and may not do this (403)."""


class XinferenceRateLimitError(XinferenceError):
    """Too many requests just now (429); waiting helps."""

    retryable = True


class XinferenceBannedError(XinferenceError):
    """Too many wrong credentials came from this address (429); the server refuses it for up to an hour."""


class XinferenceModelNotFoundError(XinferenceError):
    """No model runs under this UID or name."""

    known_as: str | None = None
    """The UID of the only running model that has this name, where a name was given in the place of a UID."""


class XinferenceModelTypeError(XinferenceError):
    """The model that runs under this UID is of another type than the call needs."""


class XinferenceModelLoadingError(XinferenceError):
    """The model is known and not ready yet (503)."""

    retryable = True


class XinferenceBadRequestError(XinferenceError):
    """The server refused what was sent, and would refuse it again."""


class XinferenceContextOverflowError(XinferenceBadRequestError):
    """The prompt, with the room kept for the answer, is longer than the model's context."""


class XinferenceUnsupportedError(XinferenceError):
    """The engine that serves this model cannot do what was asked."""


class XinferenceServerError(XinferenceError):
    """The server failed at the request (5xx)."""

    replica_gone: bool = False
    """Whether the server could not reach the replica that was to answer; another one may."""


class XinferenceProtocolError(XinferenceError):
    """The answer is not what a Xinference server sends: broken JSON, missing vectors, another service's page."""


class XinferenceStreamError(XinferenceError):
    """A stream broke off before its end; `partial_text` holds the text that came before."""

    partial_text: str = ""
