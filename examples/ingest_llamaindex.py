"""Keep an index up to date with LlamaIndex's ingestion pipeline: a second run embeds only new documents.

python examples/ingest_llamaindex.py [EMBEDDING_UID] [FOLDER]

FOLDER (./ingested) contains the index and, in `seen`, the documents and the cache of the pipeline.
"""

from __future__ import annotations

import sys
from pathlib import Path

from llama_index.core import Document, SimpleDirectoryReader, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.storage.docstore import SimpleDocumentStore

from llamaindex_xinference_bridge import XinferenceEmbedding
from xinference_bridge import XinferenceError

DOCUMENTS = Path(__file__).parent / "data"


def main(
    embedding: str = "bge-m3",
    folder: str = "ingested",
    documents: str = str(DOCUMENTS),
    question: str = "When is Boat Day?",
) -> None:
    """Update the index and search it."""
    kept = Path(folder) / embedding  # another model needs its own vectors
    model = XinferenceEmbedding(model_uid=embedding)
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(), model],
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.DUPLICATES_ONLY,  # a document is identified by its text and metadata
    )
    if (kept / "seen").exists():
        pipeline.load(str(kept / "seen"))
    if (kept / "docstore.json").exists():
        index = load_index_from_storage(StorageContext.from_defaults(persist_dir=str(kept)), embed_model=model)
    else:
        index = VectorStoreIndex([], embed_model=model)
    now = read(documents)
    nodes = pipeline.run(documents=now)
    changed = {node.ref_doc_id for node in nodes if node.ref_doc_id}
    gone = set(index.ref_doc_info) - {document.id_ for document in now}
    for name in (changed | gone) & set(index.ref_doc_info):
        index.delete_ref_doc(name, delete_from_docstore=True)
        if name in gone and pipeline.docstore:
            pipeline.docstore.delete_document(name)  # otherwise it would count as known when it comes back
    index.insert_nodes(nodes)
    # In this order, a crash between the two embeds a document again instead of losing it.
    index.storage_context.persist(str(kept))
    pipeline.persist(str(kept / "seen"))
    print(f"{len(nodes)} passages new, {len(gone)} documents gone")
    found = index.as_retriever(similarity_top_k=1).retrieve(question)[0]
    print(f"> {question}\n{found.metadata['file_name']}: {found.text.splitlines()[0]}")


def read(folder: str) -> list[Document]:
    """Return the documents with their file names as ids. Random ids or file dates would make each one new."""
    documents = SimpleDirectoryReader(folder, file_metadata=lambda path: {"file_name": Path(path).name}).load_data()
    for document in documents:
        document.id_ = document.metadata["file_name"]
    return documents


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:3])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
