"""Four graphs, as a LangGraph project lists them in `langgraph.json`.

Each is made anew for every run, inside the server's event loop, where a blocking call is an error. The connection is
read from the environment.
"""

from __future__ import annotations

from typing import Any, TypedDict

from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel

from langchain_xinference_bridge import ChatXinference, XinferenceEmbeddings, XinferenceRerank

CHAT, EMBEDDING, RERANK = "tiny-chat", "minilm", "tiny-rerank"
PARAGRAPHS = (
    "The lighthouse of Vardholm was built in 1874.",
    "The cannery was founded by Ingrid Solberg.",
    "The ferry leaves at eight.",
)


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class Answer(TypedDict, total=False):
    """The state of the graph that answers from documents."""

    question: str
    documents: list[str]
    answer: str


@tool
async def get_weather(city: str) -> str:
    """Get the weather for a city."""
    return "It's raining." if city == "London" else "It's sunny."


def _chat() -> ChatXinference:
    return ChatXinference(model=CHAT, temperature=0, max_tokens=200)


def chat() -> Any:
    """A graph of one node, which asks the model."""

    async def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await _chat().ainvoke(state["messages"])]}

    return StateGraph(MessagesState).add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END).compile()


def agent() -> Any:
    """An agent with a tool."""
    return create_agent(_chat(), [get_weather])


def structured() -> Any:
    """An agent that ends in a value; the profile says by which way, and is looked up while it runs."""
    return create_agent(_chat(), [], response_format=Person)


def rag() -> Any:
    """A graph that embeds, finds, ranks and answers."""

    async def find(state: Answer) -> Answer:
        store = InMemoryVectorStore(XinferenceEmbeddings(model=EMBEDDING))
        await store.aadd_documents([Document(text) for text in PARAGRAPHS])
        found = await store.asimilarity_search(state["question"], k=3)
        ranked = await XinferenceRerank(model=RERANK, top_n=2).acompress_documents(found, state["question"])
        return {"documents": [document.page_content for document in ranked]}

    async def answer(state: Answer) -> Answer:
        context = "\n\n".join(state["documents"])
        prompt = f"Answer the question based only on the following context:\n{context}\n\nQuestion: {state['question']}"
        return {"answer": (await _chat().ainvoke(prompt)).text}

    graph = StateGraph(Answer).add_node("find", find).add_node("reply", answer)
    return graph.add_edge(START, "find").add_edge("find", "reply").add_edge("reply", END).compile()


def blocking() -> Any:
    """A graph that blocks the event loop: it shows that the guard is on."""

    async def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [_chat().invoke(state["messages"])]}

    return StateGraph(MessagesState).add_node("ask", ask).add_edge(START, "ask").add_edge("ask", END).compile()
