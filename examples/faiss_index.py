"""Index a folder of Markdown files in FAISS. Vectors go into the index as arrays, without creating Python floats.

python examples/faiss_index.py [EMBEDDING_UID] [QUESTION]
"""

from __future__ import annotations

import sys
from pathlib import Path

import faiss
import numpy as np

from langchain_xinference_bridge import XinferenceEmbeddings
from xinference_bridge import XinferenceError

DOCUMENTS = Path(__file__).parent / "data"


def main(embedding: str = "bge-m3", question: str = "When was the lighthouse built?") -> None:
    """Print the passages that are most similar to the question."""
    passages = [
        paragraph
        for path in sorted(DOCUMENTS.glob("*.md"))
        for paragraph in path.read_text(encoding="utf-8").split("\n\n")
        if not paragraph.startswith("#")
    ]
    model = XinferenceEmbeddings(model_uid=embedding)
    query = np.array([model.embed_query(question)], dtype=np.float32)
    faiss.normalize_L2(query)
    index = faiss.IndexFlatIP(query.shape[1])
    for vectors in model.embed_stream(passages, as_array=True):
        faiss.normalize_L2(vectors)
        index.add(vectors)
    scores, places = index.search(query, 3)
    print(f"> {question}\n{index.ntotal} passages indexed:")
    for score, place in zip(scores[0], places[0], strict=True):
        print(f"  {score:.3f} {passages[place][:60]}…")


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:3])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
