"""LangChain on Xinference: chat models, language models, embeddings and reranking, over one shared connection."""

from langchain_xinference_bridge.chat_models import ChatXinference
from langchain_xinference_bridge.embeddings import XinferenceEmbeddings
from langchain_xinference_bridge.llms import Xinference, XinferenceLLM
from langchain_xinference_bridge.rerank import XinferenceRerank
from xinference_bridge import XinferenceConnection

__all__ = [
    "ChatXinference",
    "Xinference",
    "XinferenceConnection",
    "XinferenceEmbeddings",
    "XinferenceLLM",
    "XinferenceRerank",
]
