"""Keep a vector store up to date with LangChain's indexing API: a second run embeds only new documents.

python examples/index_langchain.py [EMBEDDING_UID] [FOLDER]

FOLDER (./index) contains the vectors and, in SQLite, the record of the indexed documents.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from langchain_classic.indexes import SQLRecordManager
from langchain_core.documents import Document
from langchain_core.indexing import index
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_xinference_bridge import XinferenceEmbeddings
from xinference_bridge import XinferenceError

DOCUMENTS = Path(__file__).parent / "data"


class KeptStore(InMemoryVectorStore):
    """Takes the place of your vector database. It saves documents before the record manager records them."""

    path: Path

    @classmethod
    def at(cls, path: Path, embeddings: XinferenceEmbeddings) -> KeptStore:
        """Return the store in this file, or an empty one."""
        store = cls(embeddings)
        store.path = path
        if path.exists():
            store.store = cls.load(str(path), embeddings).store
        return store

    def add_documents(self, documents: list[Document], ids: list[str] | None = None, **kwargs: Any) -> list[str]:
        """Embed and save documents."""
        added = super().add_documents(documents, ids, **kwargs)
        self._keep()
        return added

    def delete(self, ids: Any = None, **kwargs: Any) -> None:
        """Delete documents."""
        super().delete(ids, **kwargs)
        self._keep()

    def _keep(self) -> None:
        unfinished = self.path.with_suffix(".unfinished")
        self.dump(str(unfinished))
        unfinished.rename(self.path)


def main(
    embedding: str = "bge-m3",
    folder: str = "index",
    documents: str = str(DOCUMENTS),
    question: str = "When is Boat Day?",
) -> None:
    """Update the index and search it."""
    if not any(Path(documents).glob("*.md")):
        raise FileNotFoundError(f"{documents}: no .md file to index")
    embeddings = XinferenceEmbeddings(model_uid=embedding)
    kept = Path(folder).resolve()
    kept.mkdir(parents=True, exist_ok=True)
    # Another model needs its own vectors, and so its own record.
    store = KeptStore.at(kept / f"{embedding}.json", embeddings)
    record = SQLRecordManager(f"examples/{embedding}", db_url=f"sqlite:///{kept / 'record.sqlite'}")
    record.create_schema()
    paragraphs = [
        Document(paragraph, metadata={"source": path.name})
        for path in sorted(Path(documents).glob("*.md"))
        for paragraph in path.read_text(encoding="utf-8").split("\n\n")
    ]
    try:
        # "full" removes vectors of deleted text.
        done = index(paragraphs, record, store, cleanup="full", source_id_key="source", key_encoder="blake2b")
    finally:
        record.engine.dispose()
    print(f"{done['num_added']} embedded, {done['num_skipped']} known, {done['num_deleted']} taken away")
    found = store.similarity_search(question, k=1)[0]
    print(f"> {question}\n{found.metadata['source']}: {found.page_content}")


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:3])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
