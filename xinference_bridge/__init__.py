"""The framework-free core: the connection to a Xinference server, its running models, and the errors.

The LangChain classes are in `langchain_xinference_bridge`, the LlamaIndex ones in `llamaindex_xinference_bridge`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from xinference_bridge.protocol.image import GeneratedImage
    from xinference_bridge.protocol.model_info import ModelInfo
    from xinference_bridge.protocol.transcript import Transcription
    from xinference_bridge.version import __version__

__all__ = [
    "GeneratedImage",
    "ModelInfo",
    "Transcription",
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

#: Where a name is from; the others are errors.
_MODULES = {
    "GeneratedImage": "xinference_bridge.protocol.image",
    "ModelInfo": "xinference_bridge.protocol.model_info",
    "Transcription": "xinference_bridge.protocol.transcript",
    "XinferenceConnection": "xinference_bridge.connection",
    "__version__": "xinference_bridge.version",
}

#: Classes that people try to import from here, and the package that has each.
_ELSEWHERE = {
    "ChatXinference": "langchain_xinference_bridge",
    "XinferenceEmbeddings": "langchain_xinference_bridge",
    "XinferenceImages": "langchain_xinference_bridge",
    "XinferenceOCR": "langchain_xinference_bridge",
    "XinferenceSpeech": "langchain_xinference_bridge",
    "XinferenceTranscriber": "langchain_xinference_bridge",
    "XinferenceEmbedding": "llamaindex_xinference_bridge",
    "XinferenceLLM": "langchain_xinference_bridge or llamaindex_xinference_bridge",
    "XinferenceRerank": "langchain_xinference_bridge or llamaindex_xinference_bridge",
    "Xinference": "langchain_xinference_bridge or llamaindex_xinference_bridge",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        # At first use: pytest imports this package for its plugin in every run, and pydantic and requests take 0.3 s.
        globals()[name] = getattr(import_module(_MODULES.get(name, "xinference_bridge.errors")), name)
        return globals()[name]
    if name in _ELSEWHERE:
        # Not an AttributeError: `from … import` would hide its message.
        raise ImportError(f"{name} is in another package: from {_ELSEWHERE[name]} import {name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
