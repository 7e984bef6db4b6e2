"""The doctor's test request for each kind of model."""

from __future__ import annotations

from collections.abc import Callable

from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.connection_settings import CallOptions
from xinference_bridge.errors import XinferenceError
from xinference_bridge.models.audio import AudioHandle
from xinference_bridge.models.chat import ChatHandle
from xinference_bridge.models.completion import CompletionHandle
from xinference_bridge.models.embedding import EmbeddingHandle
from xinference_bridge.models.image import ImageHandle
from xinference_bridge.models.rerank import RerankHandle
from xinference_bridge.protocol.chat.request import ChatCall
from xinference_bridge.protocol.media import data_url_of
from xinference_bridge.protocol.model_info import ModelInfo, abilities_of
from xinference_bridge.protocol.smallest_use import FEWEST_STEPS, SMALLEST_SIZE, second_of_silence, white_image

_Try = Callable[[XinferenceConnection, ModelInfo, CallOptions], str]


def ask_one_thing(connection: XinferenceConnection, model: ModelInfo, options: CallOptions) -> str:
    """Send the smallest request for this kind of model, and describe the result. Raises what the call raises."""
    attempt = next((attempt for ability, attempt in _TRIES.items() if model.can(ability)), None)
    if attempt is None:
        return f"not tried: this package does not support models with the {abilities_of(model)}"
    return attempt(connection, model, options)


def _chat(connection: XinferenceConnection, model: ModelInfo, options: CallOptions) -> str:
    call = ChatCall([{"role": "user", "content": "ping"}], {"max_tokens": 1})
    ChatHandle(connection, model.uid).chat(call, options)
    return "one chat token"


def _completion(connection: XinferenceConnection, model: ModelInfo, options: CallOptions) -> str:
    CompletionHandle(connection, model.uid).complete("ping", {"max_tokens": 1}, options)
    return "one completion token"


def _embedding(connection: XinferenceConnection, model: ModelInfo, options: CallOptions) -> str:
    handle = EmbeddingHandle(connection, model.uid)
    vector = handle.embed(["ping"], {}, options).vectors[0]
    said = f"one text embedded, {len(vector)} dimensions,"
    if model.can("embed_vision"):
        image = data_url_of(white_image(), "image", "the image")
        handle.embed_images([{"image": image}], {}, options)
        said = f"one text and one image embedded, {len(vector)} dimensions,"
    if (model.engine or "").lower() == "flag":
        said += _sparse(handle, options)
    return said


def _sparse(handle: EmbeddingHandle, options: CallOptions) -> str:
    try:
        handle.embed_sparse(["ping"], {}, options)
    except XinferenceError:
        return " no sparse vectors (launch it with return_sparse=True for them),"
    return " sparse vectors too,"


def _rerank(connection: XinferenceConnection, model: ModelInfo, options: CallOptions) -> str:
    handle = RerankHandle(connection, model.uid)
    if model.can("rerank_vision"):
        image = {"image": data_url_of(white_image(), "image", "the image")}
        handle.rerank("ping", ["pong", image], {}, options)
        return "one document and one image ranked"
    scores = handle.rerank("ping", ["pong"], {}, options)
    return f"one document scored {scores[0].relevance_score:.3f}" if scores else "one document ranked"


def _hearing(connection: XinferenceConnection, model: ModelInfo, options: CallOptions) -> str:
    AudioHandle(connection, model.uid).transcribe(second_of_silence(), options=options)
    return "a second of silence transcribed"


def _speech(connection: XinferenceConnection, model: ModelInfo, options: CallOptions) -> str:
    sound = AudioHandle(connection, model.uid).speak("Hello.", options=options)
    return f"one word spoken, {len(sound) / 1024:.1f} KiB of mp3,"


def _image(connection: XinferenceConnection, model: ModelInfo, options: CallOptions) -> str:
    handle = ImageHandle(connection, model.uid)
    [image] = handle.generate("a cat", size=SMALLEST_SIZE, options=options, num_inference_steps=FEWEST_STEPS)
    return f"one image of {SMALLEST_SIZE} generated, {len(image.data) / 1024:.1f} KiB,"


def _ocr(connection: XinferenceConnection, model: ModelInfo, options: CallOptions) -> str:
    text = ImageHandle(connection, model.uid).ocr(white_image(), options=options)
    return f"an empty page read, {len(text)} characters,"


#: Ability → test request; the first ability that the model has counts.
_TRIES: dict[str, _Try] = {
    "embed": _embedding,
    "rerank": _rerank,
    "transcribe": _hearing,
    "speak": _speech,
    "generate_image": _image,
    "ocr": _ocr,
    "chat": _chat,
    "generate": _completion,
}
