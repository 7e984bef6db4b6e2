"""Xinference from Python, without a framework: where the server is, which models run, what went wrong.

The LangChain classes are in `langchain_xinference_bridge`, the LlamaIndex ones in `llamaindex_xinference_bridge`.
"""

from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.errors import (
    XinferenceAuthenticationError,
    XinferenceBadRequestError,
    XinferenceBannedError,
    XinferenceConfigurationError,
    XinferenceConnectionError,
    XinferenceContextOverflowError,
    XinferenceError,
    XinferenceModelLoadingError,
    XinferenceModelNotFoundError,
    XinferenceModelTypeError,
    XinferencePermissionError,
    XinferenceProtocolError,
    XinferenceRateLimitError,
    XinferenceServerError,
    XinferenceStreamError,
    XinferenceTimeoutError,
    XinferenceUnsupportedError,
)
from xinference_bridge.protocol.model_info import ModelInfo
from xinference_bridge.version import __version__

__all__ = [
    "ModelInfo",
    "XinferenceAuthenticationError",
    "XinferenceBadRequestError",
    "XinferenceBannedError",
    "XinferenceConfigurationError",
    "XinferenceConnection",
    "XinferenceConnectionError",
    "XinferenceContextOverflowError",
    "XinferenceError",
    "XinferenceModelLoadingError",
    "XinferenceModelNotFoundError",
    "XinferenceModelTypeError",
    "XinferencePermissionError",
    "XinferenceProtocolError",
    "XinferenceRateLimitError",
    "XinferenceServerError",
    "XinferenceStreamError",
    "XinferenceTimeoutError",
    "XinferenceUnsupportedError",
    "__version__",
]
