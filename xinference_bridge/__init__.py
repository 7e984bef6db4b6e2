"""The framework-free core: the connection to a Xinference server, its running models, and the errors.

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
