"""Retrieve many passages with vector search, then keep the best few with a reranker.

python examples/rerank.py [EMBEDDING_UID] [RERANK_UID]
"""

from __future__ import annotations

import sys
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_xinference_bridge import XinferenceEmbeddings, XinferenceRerank
from xinference_bridge import XinferenceError

DOCUMENTS = Path(__file__).parent / "data"


def main(
    embedding: str = "bge-m3", rerank: str = "bge-reranker-v2-m3", question: str = "What does a ticket cost?"
) -> None:
    """Print the retrieved passages, then the reranked ones."""
    passages = [
        Document(paragraph, metadata={"source": path.name})
        for path in sorted(DOCUMENTS.glob("*.md"))
        for paragraph in path.read_text(encoding="utf-8").split("\n\n")
        if not paragraph.startswith("#")
    ]
    store = InMemoryVectorStore.from_documents(passages, XinferenceEmbeddings(model_uid=embedding))
    found = store.similarity_search(question, k=8)
    best = XinferenceRerank(model_uid=rerank, top_n=3).compress_documents(found, question)
    print(f"> {question}\n{len(found)} found, {len(best)} kept:")
    for document in best:
        print(
            f"  {document.metadata['relevance_score']:.3f} {document.metadata['source']}: {document.page_content[:60]}…"
        )


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:4])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
