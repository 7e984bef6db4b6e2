"""The error classes.

XinferenceError
├── XinferenceConfigurationError    a setting or parameter is invalid (URL, parameter, redirect)
├── XinferenceConnectionError       no connection, or the server closed it before it answered
├── XinferenceTimeoutError          `timeout` or `deadline` expired
├── XinferenceAuthenticationError   401: no credential, or an unknown one
├── XinferencePermissionError       403: the credential lacks a permission
├── XinferenceRateLimitError        429: too many requests; retried
├── XinferenceBannedError           429: too many wrong credentials came from this IP address
├── XinferenceModelNotFoundError    no model runs under this UID
├── XinferenceModelTypeError        the model has the wrong type for the call
├── XinferenceModelLoadingError     the model is not ready yet
├── XinferenceBadRequestError       the server rejected the request
│   └── XinferenceContextOverflowError  the prompt is longer than the model's context
├── XinferenceUnsupportedError      the engine does not support the request
├── XinferenceServerError           5xx: the server failed
├── XinferenceProtocolError         the response is not one that Xinference sends
└── XinferenceStreamError           a stream broke off; `partial_text` has the text so far
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xinference_bridge.printable import harmless

if TYPE_CHECKING:
    from typing_extensions import Self

#: In a checkout, our own frames are not in `site-packages`.
_PACKAGES = frozenset({"xinference_bridge", "langchain_xinference_bridge", "llamaindex_xinference_bridge"})


class XinferenceError(Exception):
    """Base of every error that this package raises.

    Survives pickling.

    Attributes:
        message: What went wrong, and the next step.
        url: The URL of the request; None if unknown.
        model_uid: The UID of the model; None if unknown.
        status_code: The HTTP status; None if there was no response.
        request_id: The request's id in the server's log; None if the server sent none.
        body: The server's own message; None if there is none.
        retryable: Whether the same call may succeed on a retry.
        retry_after: How many seconds the server asked to wait; None if it did not.
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
        # Both contain text from the server: printed, it must not move the cursor or reorder the line.
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
            other: The error about the same response.

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
        """Return the traceback for IPython: the caller's own lines, without those of installed packages."""
        kind = type(self).__name__
        own = [frame for frame in traceback.extract_tb(self.__traceback__) if not _is_library(frame.filename)]
        lines = [f"  {_place(frame)}, in {frame.name}\n    {frame.line}" for frame in own]
        return ["Traceback (your own code; error.__traceback__ has all of it):", *lines, f"{kind}: {self.message}"]

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with only `args` and loses the keyword attributes; a subclass that is
        # also an OSError could not even be built.
        return _rebuild, (type(self), self.__dict__.copy())


def _is_library(filename: str) -> bool:
    folders = Path(filename).parts
    return bool({"site-packages", "dist-packages", "importlib", "asyncio"} & set(folders)) or any(
        folder in _PACKAGES for folder in folders[:-1]
    )


def _place(frame: traceback.FrameSummary) -> str:
    # IPython compiles a cell under a meaningless file name.
    cell = frame.filename.startswith("<ipython-input") or "ipykernel_" in frame.filename
    return f"Cell, line {frame.lineno}" if cell else f"{frame.filename}, line {frame.lineno}"


def _rebuild(cls: type[XinferenceError], state: dict[str, Any]) -> XinferenceError:
    error = cls(state["message"])
    error.__dict__.update(state)
    return error


class XinferenceConfigurationError(XinferenceError, ValueError):
    """A setting or parameter is invalid. The message names it and says what is valid."""


class XinferenceConnectionError(XinferenceError):
    """The server could not be reached, or closed the connection before it answered."""

    retryable = True
    stale_socket: bool = False
    """Whether the server closed an idle pooled connection before it sent any byte of a response."""


class XinferenceTimeoutError(XinferenceError):
    """The server took longer than `timeout`, `connect_timeout` or `deadline`."""


class XinferenceAuthenticationError(XinferenceError):
    """The server requires a credential, or rejected the given one (401).

    Never retried with the same credential: ten such failures make the server ban the IP address for an hour.
    """


class XinferencePermissionError(XinferenceError):
    """The credential is valid but lacks a permission (403)."""


class XinferenceRateLimitError(XinferenceError):
    """The server received too many requests (429). Retried."""

    retryable = True


class XinferenceBannedError(XinferenceError):
    """Too many wrong credentials came from this IP address (429). The server bans it for up to an hour."""


class XinferenceModelNotFoundError(XinferenceError):
    """No model runs under this UID or name."""

    known_as: str | None = None
    """The UID of the only running model with this name, if a name was given instead of a UID."""


class XinferenceModelTypeError(XinferenceError):
    """The model under this UID has the wrong type for the call."""


class XinferenceModelLoadingError(XinferenceError):
    """The model is not ready yet (503). Retried."""

    retryable = True


class XinferenceBadRequestError(XinferenceError):
    """The server rejected the request, and would reject it again."""


class XinferenceContextOverflowError(XinferenceBadRequestError):
    """The prompt plus the space reserved for the answer exceeds the model's context."""


class XinferenceUnsupportedError(XinferenceError):
    """The model's engine does not support the request."""


class XinferenceServerError(XinferenceError):
    """The server failed to handle the request (5xx)."""

    replica_gone: bool = False
    """Whether the server could not reach the replica; another replica may answer."""


class XinferenceProtocolError(XinferenceError):
    """The response is not one that Xinference sends: invalid JSON, missing vectors, another service's page."""


class XinferenceStreamError(XinferenceError):
    """A stream broke off; `partial_text` has the text so far."""

    partial_text: str = ""
