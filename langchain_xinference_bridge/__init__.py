"""LangChain on Xinference: chat models, text completion, embeddings and reranking over one shared connection.

Examples:
    >>> connection = XinferenceConnection()  # reads XINFERENCE_ENDPOINT and XINFERENCE_API_KEY
    >>> chat = ChatXinference(model="tiny-chat", connection=connection, temperature=0)
    >>> embeddings = XinferenceEmbeddings(model="minilm", connection=connection)
    >>> chat.invoke("What is the capital of France?").content
    'The capital of France is Paris.'
    >>> len(embeddings.embed_query("Paris"))
    384
"""

from typing import TYPE_CHECKING, Any

try:
    import langchain_core as _langchain_core
except ImportError as missing:
    msg = 'langchain_xinference_bridge needs LangChain: pip install "xinference-bridge[langchain]"'
    raise ImportError(msg) from missing

from langchain_xinference_bridge.chat_models import ChatXinference
from langchain_xinference_bridge.embeddings import XinferenceEmbeddings
from langchain_xinference_bridge.images import XinferenceImages
from langchain_xinference_bridge.llms import Xinference, XinferenceLLM
from langchain_xinference_bridge.ocr import XinferenceOCR
from langchain_xinference_bridge.rerank import XinferenceRerank
from langchain_xinference_bridge.speech import XinferenceSpeech
from langchain_xinference_bridge.transcription import XinferenceTranscriber
from xinference_bridge import XinferenceConnection

if TYPE_CHECKING:
    from langchain_xinference_bridge.sparse_embeddings import XinferenceSparseEmbeddings

__all__ = [
    "ChatXinference",
    "Xinference",
    "XinferenceConnection",
    "XinferenceEmbeddings",
    "XinferenceImages",
    "XinferenceLLM",
    "XinferenceOCR",
    "XinferenceRerank",
    "XinferenceSparseEmbeddings",
    "XinferenceSpeech",
    "XinferenceTranscriber",
]

del _langchain_core


def __getattr__(name: str) -> Any:
    # Its base class comes from langchain-qdrant where that is installed. Importing it loads the Qdrant client and gRPC,
    # which takes about a second, so it waits for the first use.
    if name == "XinferenceSparseEmbeddings":
        from langchain_xinference_bridge.sparse_embeddings import XinferenceSparseEmbeddings

        return XinferenceSparseEmbeddings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
