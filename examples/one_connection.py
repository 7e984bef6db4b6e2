"""One connection for both frameworks: LlamaIndex retrieves the passages, LangChain writes the answer.

python examples/one_connection.py [CHAT_UID] [EMBEDDING_UID]
"""

from __future__ import annotations

import sys
from pathlib import Path

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from llama_index.core import SimpleDirectoryReader, VectorStoreIndex

from langchain_xinference_bridge import ChatXinference
from llamaindex_xinference_bridge import XinferenceEmbedding
from xinference_bridge import XinferenceConnection, XinferenceError

DOCUMENTS = Path(__file__).parent / "data"
PROMPT = ChatPromptTemplate.from_template(
    "Answer the question based only on the following context:\n{context}\n\nQuestion: {question}"
)


def main(chat: str = "qwen3", embedding: str = "bge-m3", question: str = "When is Boat Day?") -> None:
    """Retrieve with LlamaIndex and answer with LangChain. Both share sockets, login and model descriptions."""
    with XinferenceConnection() as connection:
        retriever = VectorStoreIndex.from_documents(
            SimpleDirectoryReader(str(DOCUMENTS)).load_data(),
            embed_model=XinferenceEmbedding(model_uid=embedding, connection=connection),
        ).as_retriever(similarity_top_k=2)

        def passages(query: str) -> str:
            return "\n\n".join(found.text for found in retriever.retrieve(query))

        chain = (
            {"context": RunnableLambda(passages), "question": RunnablePassthrough()}
            | PROMPT
            | ChatXinference(model_uid=chat, connection=connection, temperature=0)
            | StrOutputParser()
        )
        print(f"> {question}\n{chain.invoke(question)}")


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:4])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
