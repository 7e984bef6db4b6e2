"""Xinference in LlamaIndex: a language model, embeddings and a reranker on one connection.

```python
from llamaindex_xinference_bridge import XinferenceEmbedding, XinferenceLLM, XinferenceRerank
```

Errors are those of `xinference_bridge`, all under XinferenceError.
"""

try:
    import llama_index.core as _llama_index_core
except ImportError as missing:
    msg = 'llamaindex_xinference_bridge stands on LlamaIndex: pip install "xinference-bridge[llamaindex]"'
    raise ImportError(msg) from missing

from llamaindex_xinference_bridge.embedding import XinferenceEmbedding
from llamaindex_xinference_bridge.llm import XinferenceLLM
from llamaindex_xinference_bridge.rerank import XinferenceRerank

Xinference = XinferenceLLM
"""The name in `llama-index-llms-xinference`."""

__all__ = ["Xinference", "XinferenceEmbedding", "XinferenceLLM", "XinferenceRerank"]

del _llama_index_core
