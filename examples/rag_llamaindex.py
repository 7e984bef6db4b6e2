"""Chat about your documents with LlamaIndex: each turn retrieves passages and streams an answer.

python examples/rag_llamaindex.py [CHAT_UID] [EMBEDDING_UID]
"""

from __future__ import annotations

import sys
from pathlib import Path

from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
from llama_index.core.chat_engine.types import ChatMode

from llamaindex_xinference_bridge import XinferenceEmbedding, XinferenceLLM
from xinference_bridge import XinferenceError

DOCUMENTS = Path(__file__).parent / "data"
TURNS = ("When was the lighthouse of Vardholm built?", "Who is its keeper?")


def main(chat: str = "qwen3", embedding: str = "bge-m3") -> None:
    """Ask a question and a follow-up question."""
    index = VectorStoreIndex.from_documents(
        SimpleDirectoryReader(str(DOCUMENTS)).load_data(), embed_model=XinferenceEmbedding(model_uid=embedding)
    )
    engine = index.as_chat_engine(
        chat_mode=ChatMode.CONTEXT, llm=XinferenceLLM(model_uid=chat, temperature=0), similarity_top_k=2
    )
    for question in TURNS:
        print(f"> {question}")
        answer = engine.stream_chat(question)
        for text in answer.response_gen:
            print(text, end="", flush=True)
        print(f"\n  from {', '.join(node.metadata['file_name'] for node in answer.source_nodes)}")


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:3])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
