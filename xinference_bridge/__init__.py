"""The framework-free core: the connection to a Xinference server, its running models, and the errors.

The LangChain classes are in `langchain_xinference_bridge`, the LlamaIndex ones in `llamaindex_xinference_bridge`.
"""

from typing import TYPE_CHECKING

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

#: The class a beginner looks for here → the packages that have it. tests/test_packages.py compares it with theirs.
_ELSEWHERE = {
    "ChatXinference": ("langchain_xinference_bridge",),
    "XinferenceEmbedding": ("llamaindex_xinference_bridge",),
    "XinferenceEmbeddings": ("langchain_xinference_bridge",),
    "XinferenceLLM": ("langchain_xinference_bridge", "llamaindex_xinference_bridge"),
    "XinferenceRerank": ("langchain_xinference_bridge", "llamaindex_xinference_bridge"),
}


if not TYPE_CHECKING:  # a type checker knows by itself what is not here

    def __getattr__(name: str) -> object:
        if packages := _ELSEWHERE.get(name):
            lines = " or ".join(f"`from {package} import {name}`" for package in packages)
            # Not AttributeError: `from … import …` would put Python's own words in the place of these.
            raise ImportError(f"{name} is not in xinference_bridge, which imports no framework: {lines}", name=__name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
