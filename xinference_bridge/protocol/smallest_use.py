"""The smallest use of a model of any kind: one token, one vector, one document. Pure."""

from __future__ import annotations

from xinference_bridge.protocol.chat.plan import chat_request
from xinference_bridge.protocol.completion import completion_request
from xinference_bridge.protocol.embedding import embeddings_request
from xinference_bridge.protocol.http import Request
from xinference_bridge.protocol.model_info import ModelInfo
from xinference_bridge.protocol.rerank import rerank_request


def smallest_request(model: ModelInfo) -> Request:
    """Return the request that uses this model the least."""
    if model.type == "embedding":
        return embeddings_request(model.uid, ["ping"], {})
    if model.type == "rerank":
        return rerank_request(model.uid, "ping", ["pong"], {})
    if model.can("chat"):
        return chat_request(model.uid, [{"role": "user", "content": "ping"}], {"max_tokens": 1})
    return completion_request(model.uid, "ping", {"max_tokens": 1})
