"""Search images and texts at once, with one multimodal embedding model.

python examples/search_images_and_text.py [UID] [QUERY] [IMAGE …]
"""

from __future__ import annotations

import sys
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_xinference_bridge import XinferenceEmbeddings
from xinference_bridge import XinferenceConnection, XinferenceError

HERE = Path(__file__).parent


def main(uid: str = "qwen3-vl-embedding", query: str = "a white page", *images: str | Path) -> None:
    """Index the images and texts of the examples, and print the entries most similar to the query."""
    pictures = [Path(image) for image in images] or sorted((HERE / "images").iterdir())
    texts = {path: path.read_text(encoding="utf-8") for path in sorted((HERE / "data").glob("*.md"))}
    with XinferenceConnection() as connection:
        embeddings = XinferenceEmbeddings(model_uid=uid, connection=connection)
        vectors = embeddings.embed_images(pictures) + embeddings.embed_documents(texts.values())
        store = InMemoryVectorStore(embeddings)
        for number, (path, vector) in enumerate(zip([*pictures, *texts], vectors, strict=True)):
            document = Document(texts.get(path, ""), metadata={"file": path.name}, id=str(number))
            # The store would embed the text of an image, so it gets the existing vector instead.
            store.store[str(number)] = {
                "id": document.id,
                "vector": vector,
                "text": document.page_content,
                "metadata": document.metadata,
            }
        print(f"{query!r} in {len(pictures)} images and {len(texts)} texts:")
        for found, score in store.similarity_search_with_score(query, k=3):
            print(f"  {score:.2f} {found.metadata['file']}")


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
