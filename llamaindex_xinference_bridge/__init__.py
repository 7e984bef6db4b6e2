"""LlamaIndex on Xinference: a language model, embeddings and reranking over one shared connection.

Errors are those of `xinference_bridge`, all subclasses of XinferenceError.

Examples:
    ```python
    from llamaindex_xinference_bridge import XinferenceEmbedding, XinferenceLLM, XinferenceRerank
    ```
"""

try:
    import llama_index.core as _llama_index_core
except ImportError as missing:
    msg = 'llamaindex_xinference_bridge needs LlamaIndex: pip install "xinference-bridge[llamaindex]"'
    raise ImportError(msg) from missing

from llamaindex_xinference_bridge.audio_reader import XinferenceAudioReader
from llamaindex_xinference_bridge.embedding import XinferenceEmbedding
from llamaindex_xinference_bridge.llm import XinferenceLLM
from llamaindex_xinference_bridge.multi_modal_embedding import XinferenceMultiModalEmbedding
from llamaindex_xinference_bridge.ocr_reader import XinferenceOCRReader
from llamaindex_xinference_bridge.rerank import XinferenceRerank
from llamaindex_xinference_bridge.sparse_embedding import XinferenceSparseEmbedding
from llamaindex_xinference_bridge.tool_spec import XinferenceToolSpec

Xinference = XinferenceLLM
"""The class under its name in `llama-index-llms-xinference`."""

__all__ = [
    "Xinference",
    "XinferenceAudioReader",
    "XinferenceEmbedding",
    "XinferenceLLM",
    "XinferenceMultiModalEmbedding",
    "XinferenceOCRReader",
    "XinferenceRerank",
    "XinferenceSparseEmbedding",
    "XinferenceToolSpec",
]

del _llama_index_core
