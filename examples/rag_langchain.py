"""Answer questions from your documents with LangChain: split, embed, retrieve, answer, and list the sources.

python examples/rag_langchain.py [CHAT_UID] [EMBEDDING_UID]
"""

from __future__ import annotations

import sys
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_xinference_bridge import ChatXinference, XinferenceEmbeddings
from xinference_bridge import XinferenceError

DOCUMENTS = Path(__file__).parent / "data"
PROMPT = ChatPromptTemplate.from_template(
    "Answer the question based only on the following context:\n{context}\n\nQuestion: {question}"
)


def paragraphs() -> list[Document]:
    """Return every paragraph of every document, with its file name."""
    return [
        Document(paragraph, metadata={"source": path.name})
        for path in sorted(DOCUMENTS.glob("*.md"))
        for paragraph in path.read_text(encoding="utf-8").split("\n\n")
        if not paragraph.startswith("#")
    ]


def main(chat: str = "qwen3", embedding: str = "bge-m3", question: str = "Who founded the cannery?") -> None:
    """Answer one question and list the sources."""
    store = InMemoryVectorStore.from_documents(paragraphs(), XinferenceEmbeddings(model_uid=embedding))
    found = store.similarity_search(question, k=3)
    chain = PROMPT | ChatXinference(model_uid=chat, temperature=0) | StrOutputParser()
    print(question)
    for text in chain.stream(
        {"context": "\n\n".join(document.page_content for document in found), "question": question}
    ):
        print(text, end="", flush=True)
    print("\nSources:", ", ".join(sorted({document.metadata["source"] for document in found})))


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:4])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
