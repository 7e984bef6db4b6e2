"""Twenty beginner's mistakes, each as code or a command. A test finds out what each one prints."""

from __future__ import annotations

from dataclasses import dataclass

_CHAT = "from langchain_xinference_bridge import ChatXinference\n"
_EMBED = "from langchain_xinference_bridge import XinferenceEmbeddings\n"
_RERANK = "from langchain_xinference_bridge import XinferenceRerank\n"
_CORE = "from xinference_bridge import XinferenceConnection\n"


@dataclass(frozen=True, slots=True)
class Mistake:
    """What went wrong, the line that does it, and what has to stand before that line."""

    title: str
    line: str
    before: str = ""

    @property
    def is_command(self) -> bool:
        """Whether it is typed at a shell."""
        return self.line.startswith("xinference-bridge ")


MISTAKES = (
    Mistake("The UID is misspelled", 'ChatXinference(model_uid="qwen").invoke("Hi")', _CHAT),
    Mistake("The model is passed instead of the URL", 'ChatXinference("qwen3")', _CHAT),
    Mistake("No model is given", "ChatXinference()", _CHAT),
    Mistake("The class is imported from the core", "from xinference_bridge import ChatXinference"),
    Mistake("A parameter is misspelled", 'ChatXinference(model_uid="qwen3").invoke("Hi", temprature=0)', _CHAT),
    Mistake("A setting is misspelled", 'XinferenceConnection(api_kye="xf-…")', _CORE),
    Mistake("Chat with an embedding model", 'ChatXinference(model_uid="bge-m3").invoke("Hi")', _CHAT),
    Mistake("Embeddings from a chat model", 'XinferenceEmbeddings(model_uid="qwen3").embed_query("Hi")', _EMBED),
    Mistake("One string instead of texts", 'XinferenceEmbeddings(model_uid="bge-m3").embed_documents("Hi")', _EMBED),
    Mistake("One string instead of documents", 'XinferenceRerank(model_uid="r").rerank("Hi", "one text")', _RERANK),
    Mistake("The server is not running", 'XinferenceConnection("http://127.0.0.1:9998").models()', _CORE),
    Mistake("The key is wrong", 'XinferenceConnection(api_key="xf-wrong").models()', _CORE),
    Mistake("The key is missing", "XinferenceConnection(api_key=None).models()", _CORE),
    Mistake("A user without a password", 'XinferenceConnection(username="grace")', _CORE),
    Mistake("The URL contains a password", 'XinferenceConnection("http://ada:secret@gpu:9997")', _CORE),
    Mistake("The timeout is not a number", 'XinferenceConnection(timeout="slow")', _CORE),
    Mistake(
        "A forced tool that does not exist", 'ChatXinference(model_uid="qwen3").bind_tools([], tool_choice="f")', _CHAT
    ),
    Mistake(
        "A PDF in a message",
        'ChatXinference(model_uid="qwen3").invoke([HumanMessage([{"type": "file", "base64": "JVBERi0="}])])',
        _CHAT + "from langchain_core.messages import HumanMessage\n",
    ),
    Mistake("Chat without naming a model", 'xinference-bridge chat --message "Hi"'),
    Mistake("Embedding a PDF", "xinference-bridge embed bge-m3 report.pdf --out vectors.jsonl"),
)
