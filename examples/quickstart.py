"""A LangChain chain and a LlamaIndex RAG pipeline on your own models, through one connection.

Uses the server at XINFERENCE_ENDPOINT or on this machine. If none answers, it replays a recorded session.
"""

from __future__ import annotations

import sys
from pathlib import Path

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from llama_index.core import SimpleDirectoryReader, VectorStoreIndex

from examples.server import server_or_recording
from langchain_xinference_bridge import ChatXinference
from llamaindex_xinference_bridge import XinferenceEmbedding, XinferenceLLM
from xinference_bridge import ModelInfo, XinferenceConnection, XinferenceError

DOCUMENTS = Path(__file__).parent / "data"
CHAIN_QUESTION = "What is the capital of France?"
DOCUMENTS_QUESTION = "When was the lighthouse of Vardholm built?"


def main() -> int:
    """Run both parts. The exit status is 0 if both answered."""
    try:
        with server_or_recording() as (connection, words):
            print(words)
            chat, embedding = introduce(connection)
            stream_a_chain(connection, chat)
            question_documents(connection, chat, embedding)
    except XinferenceError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def introduce(connection: XinferenceConnection) -> tuple[str, str]:
    """List the running models. Return the UIDs of the first chat model and the first embedding model."""
    models = connection.models()
    print(f"Models at {connection.server_url}:")
    for model in models:
        print(f"  {model.uid:<16} {model.type:<10} {model.engine or '-':<22} {', '.join(model.abilities)}")
    return first(models, "chat").uid, first(models, "embed").uid


def first(models: list[ModelInfo], ability: str) -> ModelInfo:
    """Return the first model with this ability."""
    for model in models:
        if model.can(ability):
            return model
    raise SystemExit(f"The quickstart needs a model with the ability {ability}; launch one with `xinference launch`.")


def stream_a_chain(connection: XinferenceConnection, uid: str) -> None:
    """Stream the answer of a LangChain chain."""
    model = ChatXinference(model_uid=uid, connection=connection, temperature=0, max_tokens=200)
    chain = ChatPromptTemplate.from_messages([("human", "{question}")]) | model | StrOutputParser()
    print(f"\nLangChain, {uid}: {CHAIN_QUESTION}\n  ", end="")
    for text in chain.stream({"question": CHAIN_QUESTION}):
        print(text, end="", flush=True)
    print()


def question_documents(connection: XinferenceConnection, chat: str, embedding: str) -> None:
    """Answer a question from a few local documents with LlamaIndex, and print the sources."""
    documents = SimpleDirectoryReader(str(DOCUMENTS)).load_data()
    index = VectorStoreIndex.from_documents(
        documents, embed_model=XinferenceEmbedding(model_uid=embedding, connection=connection)
    )
    llm = XinferenceLLM(model_uid=chat, connection=connection, temperature=0, max_tokens=200)
    answer = index.as_query_engine(llm=llm, similarity_top_k=2).query(DOCUMENTS_QUESTION)
    print(f"\nLlamaIndex, {chat} and {embedding}: {DOCUMENTS_QUESTION}\n  {answer}")
    for source in answer.source_nodes:
        print(f"  source: {source.node.metadata['file_name']} (similarity {source.score or 0:.2f})")


if __name__ == "__main__":
    raise SystemExit(main())
