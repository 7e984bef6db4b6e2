"""The framework-free core: the connection to a Xinference server, its running models, and the errors.

The LangChain classes are in `langchain_xinference_bridge`, the LlamaIndex ones in `llamaindex_xinference_bridge`.
"""

from typing import NoReturn

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

#: Classes that people try to import from here, and the package that has each.
_ELSEWHERE = {
    "ChatXinference": "langchain_xinference_bridge",
    "XinferenceEmbeddings": "langchain_xinference_bridge",
    "XinferenceEmbedding": "llamaindex_xinference_bridge",
    "XinferenceLLM": "langchain_xinference_bridge or llamaindex_xinference_bridge",
    "XinferenceRerank": "langchain_xinference_bridge or llamaindex_xinference_bridge",
    "Xinference": "langchain_xinference_bridge or llamaindex_xinference_bridge",
}


def __getattr__(name: str) -> NoReturn:
    if name in _ELSEWHERE:
        # Not an AttributeError: `from … import` would hide its message.
        raise ImportError(f"{name} is in another package: from {_ELSEWHERE[name]} import {name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
