"""A failure explained by what runs on the server: no such model, or one of another type. Pure."""

from __future__ import annotations

from xinference_bridge.errors import (
    XinferenceError,
    XinferenceModelNotFoundError,
    XinferenceModelTypeError,
    XinferenceServerError,
)
from xinference_bridge.models import ModelInfo, not_found, wrong_type
from xinference_bridge.wire import Request


def a_look_helps(error: XinferenceError, request: Request) -> bool:
    """Whether the list of running models may tell why this request failed."""
    if request.model_uid is None:
        return False
    # 4.1.0 answers a 500 to a model of the wrong type: "The chat completion request failed. Check the server logs" for
    # an embedding model asked to chat, "object has no attribute 'model_spec'" for a reranker asked to embed.
    failed_inside = isinstance(error, XinferenceServerError) and error.status_code in (None, 500)
    return failed_inside or isinstance(error, (XinferenceModelNotFoundError, XinferenceModelTypeError))


def explained(error: XinferenceError, request: Request, running: list[ModelInfo], server_url: str) -> XinferenceError:
    """The error that the running models tell, with what is known of the first one; else the error itself."""
    uid = request.model_uid or ""
    model = next((model for model in running if model.uid == uid), None)
    better: XinferenceError
    if model is None:
        better = not_found(uid, running, server_url, request.ability)
    elif request.ability is not None and not model.can(request.ability):
        better = wrong_type(model, running, server_url, request.ability)
    else:
        return error
    for name in ("status_code", "request_id", "body"):
        setattr(better, name, getattr(error, name))
    better.url = error.url or better.url
    return better
