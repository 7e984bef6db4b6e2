"""The core's errors as subclasses of LangChain's errors, so that code can catch either.

Each class here is a subclass of the core's class of the same name and of LangChain's matching one:

XinferenceAuthenticationError    ModelAuthenticationError
XinferencePermissionError        ModelPermissionDeniedError
XinferenceBannedError            ModelPermissionDeniedError
XinferenceRateLimitError         ModelRateLimitError
XinferenceModelNotFoundError     ModelNotFoundError
XinferenceModelTypeError         ModelInvalidRequestError
XinferenceModelLoadingError      ModelAPIError
XinferenceBadRequestError        ModelInvalidRequestError
XinferenceContextOverflowError   ContextOverflowError
XinferenceUnsupportedError       ModelInvalidRequestError
XinferenceServerError            ModelAPIError
XinferenceProtocolError          ModelAPIError
XinferenceStreamError            ModelConnectionError
XinferenceConnectionError        ModelConnectionError
XinferenceTimeoutError           ModelTimeoutError
XinferenceConfigurationError     ModelInvalidRequestError

LangChain has `ModelError` and its subclasses from langchain-core 1.6. With older versions, the classes here have only
the core's base class.

Examples:
    >>> from langchain_core.exceptions import ModelNotFoundError
    >>> from langchain_xinference_bridge import ChatXinference
    >>> try:
    ...     ChatXinference(model="nope").invoke("Hello")
    ... except ModelNotFoundError as error:
    ...     print(type(error).__name__, error.model_uid, error.is_retryable)
    XinferenceModelNotFoundError nope False
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from langchain_core.exceptions import OutputParserException

from xinference_bridge import errors as core

if TYPE_CHECKING:
    from langchain_core.exceptions import (
        ContextOverflowError,
        ModelAPIError,
        ModelAuthenticationError,
        ModelConnectionError,
        ModelError,
        ModelInvalidRequestError,
        ModelNotFoundError,
        ModelPermissionDeniedError,
        ModelRateLimitError,
        ModelTimeoutError,
    )
else:
    from langchain_core import exceptions as _theirs

    class ModelError(Exception):
        """A stand-in for LangChain's class, for versions of langchain-core without it."""

    ModelError = getattr(_theirs, "ModelError", ModelError)
    ModelAPIError = getattr(_theirs, "ModelAPIError", ModelError)
    ModelAuthenticationError = getattr(_theirs, "ModelAuthenticationError", ModelError)
    ModelConnectionError = getattr(_theirs, "ModelConnectionError", ModelError)
    ModelInvalidRequestError = getattr(_theirs, "ModelInvalidRequestError", ModelError)
    ModelNotFoundError = getattr(_theirs, "ModelNotFoundError", ModelError)
    ModelPermissionDeniedError = getattr(_theirs, "ModelPermissionDeniedError", ModelError)
    ModelRateLimitError = getattr(_theirs, "ModelRateLimitError", ModelError)
    ModelTimeoutError = getattr(_theirs, "ModelTimeoutError", ModelError)
    ContextOverflowError = getattr(_theirs, "ContextOverflowError", ModelError)


class XinferenceError(core.XinferenceError, ModelError):
    """Base of every error that the LangChain classes raise. `is_retryable` equals the core's `retryable`."""


class XinferenceConfigurationError(core.XinferenceConfigurationError, XinferenceError, ModelInvalidRequestError):
    """A setting or parameter is invalid. The message names it and says what is valid."""


class XinferenceConnectionError(core.XinferenceConnectionError, XinferenceError, ModelConnectionError):
    """The server could not be reached, or closed the connection before it answered."""


class XinferenceTimeoutError(core.XinferenceTimeoutError, XinferenceError, ModelTimeoutError):
    """The server took longer than `timeout`, `connect_timeout` or `deadline`."""


class XinferenceAuthenticationError(core.XinferenceAuthenticationError, XinferenceError, ModelAuthenticationError):
    """The server requires a credential, or rejected the given one (401)."""


class XinferencePermissionError(core.XinferencePermissionError, XinferenceError, ModelPermissionDeniedError):
    """The credential is valid but lacks a permission (403)."""


class XinferenceRateLimitError(core.XinferenceRateLimitError, XinferenceError, ModelRateLimitError):
    """The server received too many requests (429). Retried."""


class XinferenceBannedError(core.XinferenceBannedError, XinferenceError, ModelPermissionDeniedError):
    """Too many wrong credentials came from this IP address (429). The server bans it for up to an hour."""


class XinferenceModelNotFoundError(core.XinferenceModelNotFoundError, XinferenceError, ModelNotFoundError):
    """No model runs under this UID or name."""


class XinferenceModelTypeError(core.XinferenceModelTypeError, XinferenceError, ModelInvalidRequestError):
    """The model under this UID has the wrong type for the call."""


class XinferenceModelLoadingError(core.XinferenceModelLoadingError, XinferenceError, ModelAPIError):
    """The model is not ready yet (503). Retried."""


class XinferenceBadRequestError(core.XinferenceBadRequestError, XinferenceError, ModelInvalidRequestError):
    """The server rejected the request, and would reject it again."""


class XinferenceContextOverflowError(
    core.XinferenceContextOverflowError, XinferenceBadRequestError, ContextOverflowError
):
    """The prompt plus the space reserved for the answer exceeds the model's context."""


class XinferenceUnsupportedError(core.XinferenceUnsupportedError, XinferenceError, ModelInvalidRequestError):
    """The model's engine does not support the request."""


class XinferenceServerError(core.XinferenceServerError, XinferenceError, ModelAPIError):
    """The server failed to handle the request (5xx)."""


class XinferenceProtocolError(core.XinferenceProtocolError, XinferenceError, ModelAPIError):
    """The response is not one that Xinference sends."""


class XinferenceStreamError(core.XinferenceStreamError, XinferenceError, ModelConnectionError):
    """A stream broke off; `partial_text` has the text so far."""


class XinferenceStructuredOutputError(XinferenceUnsupportedError, OutputParserException):
    """The answer does not match the requested schema; `llm_output` has the model's output."""

    def __init__(self, message: str, *, llm_output: str | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        # As in OutputParserException, whose constructor has another order of arguments.
        self.observation = None
        self.llm_output = llm_output
        self.send_to_llm = False


_OURS: dict[type[core.XinferenceError], type[core.XinferenceError]] = {
    ours.__bases__[0]: ours
    for ours in (
        XinferenceError,
        XinferenceConfigurationError,
        XinferenceConnectionError,
        XinferenceTimeoutError,
        XinferenceAuthenticationError,
        XinferencePermissionError,
        XinferenceRateLimitError,
        XinferenceBannedError,
        XinferenceModelNotFoundError,
        XinferenceModelTypeError,
        XinferenceModelLoadingError,
        XinferenceBadRequestError,
        XinferenceContextOverflowError,
        XinferenceUnsupportedError,
        XinferenceServerError,
        XinferenceProtocolError,
        XinferenceStreamError,
    )
}


def error_for_langchain(error: core.XinferenceError) -> core.XinferenceError:
    """Return the error as the class of this module. An error of this module is returned unchanged."""
    kind = next((_OURS[base] for base in type(error).__mro__ if base in _OURS), None)
    if kind is None or isinstance(error, kind):
        return error
    translated = kind(error.message)
    translated.__dict__.update(error.__dict__)
    # LangChain's attribute belongs to the class; here each instance has its own.
    translated.__dict__["is_retryable"] = error.retryable
    translated.__cause__ = error.__cause__
    return translated


class _ErrorTranslation:
    """Converts core errors that leave the block to LangChain's; other exceptions pass unchanged."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, core.XinferenceError):
            ours = error_for_langchain(error)
            if ours is not error:
                # Not chained to the core's error: the traceback would appear twice.
                raise ours.with_traceback(traceback) from error.__cause__


translated_errors = _ErrorTranslation()
"""`with translated_errors:` around a call of the core. Stateless, so one instance suffices."""
