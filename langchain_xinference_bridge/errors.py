"""Every error of the core as LangChain's own error too, so that code which catches either kind works.

Each class here is a subclass of the core's class of the same name and, where LangChain has a matching one, of that:

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

`ModelError` and its subclasses came with langchain-core 1.6; with an older one the classes are the core's alone.

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
        """Stands for LangChain's class of this name where the installed langchain-core has none."""

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
    """Base of every error that the LangChain classes raise; `is_retryable` is the core's `retryable`."""


class XinferenceConfigurationError(core.XinferenceConfigurationError, XinferenceError, ModelInvalidRequestError):
    """A setting or parameter is invalid: the message names it and says what it takes."""


class XinferenceConnectionError(core.XinferenceConnectionError, XinferenceError, ModelConnectionError):
    """The server was not reached, or it hung up before it answered."""


class XinferenceTimeoutError(core.XinferenceTimeoutError, XinferenceError, ModelTimeoutError):
    """The server took longer than the caller wanted to wait."""


class XinferenceAuthenticationError(core.XinferenceAuthenticationError, XinferenceError, ModelAuthenticationError):
    """The server asked for a credential, or does not know the one it got (401)."""


class XinferencePermissionError(core.XinferencePermissionError, XinferenceError, ModelPermissionDeniedError):
    """The credential is known and may not do this (403)."""


class XinferenceRateLimitError(core.XinferenceRateLimitError, XinferenceError, ModelRateLimitError):
    """Too many requests just now (429); waiting helps."""


class XinferenceBannedError(core.XinferenceBannedError, XinferenceError, ModelPermissionDeniedError):
    """Too many wrong credentials came from this address (429); the server refuses it for up to an hour."""


class XinferenceModelNotFoundError(core.XinferenceModelNotFoundError, XinferenceError, ModelNotFoundError):
    """No model runs under this UID or name."""


class XinferenceModelTypeError(core.XinferenceModelTypeError, XinferenceError, ModelInvalidRequestError):
    """The model that runs under this UID is of another type than the call needs."""


class XinferenceModelLoadingError(core.XinferenceModelLoadingError, XinferenceError, ModelAPIError):
    """The model is known and not ready yet (503)."""


class XinferenceBadRequestError(core.XinferenceBadRequestError, XinferenceError, ModelInvalidRequestError):
    """The server refused what was sent, and would refuse it again."""


class XinferenceContextOverflowError(
    core.XinferenceContextOverflowError, XinferenceBadRequestError, ContextOverflowError
):
    """The prompt, with the room kept for the answer, is longer than the model's context."""


class XinferenceUnsupportedError(core.XinferenceUnsupportedError, XinferenceError, ModelInvalidRequestError):
    """The engine that serves this model cannot do what was asked."""


class XinferenceServerError(core.XinferenceServerError, XinferenceError, ModelAPIError):
    """The server failed at the request (5xx)."""


class XinferenceProtocolError(core.XinferenceProtocolError, XinferenceError, ModelAPIError):
    """The answer is not what a Xinference server sends."""


class XinferenceStreamError(core.XinferenceStreamError, XinferenceError, ModelConnectionError):
    """A stream broke off before its end; `partial_text` holds the text that came before."""


class XinferenceStructuredOutputError(XinferenceUnsupportedError, OutputParserException):
    """The answer is not of the schema that was asked for; `llm_output` has what the model said instead."""

    def __init__(self, message: str, *, llm_output: str | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        # As OutputParserException sets them, whose own constructor takes its arguments in another order.
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
    """The same error, of the class here that is LangChain's too; one that is so already comes back as it is."""
    kind = next((_OURS[base] for base in type(error).__mro__ if base in _OURS), None)
    if kind is None or isinstance(error, kind):
        return error
    translated = kind(error.message)
    translated.__dict__.update(error.__dict__)
    # LangChain's classes say it for the whole class; here each error knows it of itself.
    translated.__dict__["is_retryable"] = error.retryable
    translated.__cause__ = error.__cause__
    return translated


class _ErrorTranslation:
    """Turns a core error that leaves the block into LangChain's; everything else passes as it is."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, core.XinferenceError):
            ours = error_for_langchain(error)
            if ours is not error:
                # Not chained to the core's own: two tracebacks would tell the same thing twice.
                raise ours.with_traceback(traceback) from error.__cause__


translated_errors = _ErrorTranslation()
"""`with translated_errors:` around a call of the core; it has no state, so that one serves all."""
