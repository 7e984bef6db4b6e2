"""Model descriptions, and the lookup by name or UID. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from xinference_bridge.errors import (
    XinferenceConfigurationError,
    XinferenceError,
    XinferenceModelNotFoundError,
    XinferenceModelTypeError,
    XinferenceProtocolError,
    XinferenceServerError,
)
from xinference_bridge.protocol.http import Ability, Request, Response
from xinference_bridge.protocol.shape_errors import unexpected_answer
from xinference_bridge.suggestions import nearest_first


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The server's description of one running model, from `GET /v1/models`. Unknown fields are None.

    `type` is the server's type ("LLM", "embedding", "rerank", "image", …); `abilities` are its `model_ability`
    ("generate", "chat", "tools", "vision", "reasoning", "hybrid", …). `context_length` and `max_tokens` count tokens.
    """

    uid: str
    name: str
    type: str
    abilities: tuple[str, ...] = ()
    context_length: int | None = None
    dimensions: int | None = None
    max_tokens: int | None = None
    engine: str | None = None
    format: str | None = None
    size: str | None = None
    quantization: str | None = None
    replicas: int | None = None
    family: str | None = None
    """The built-in family whose ways a registered model follows; None where the server does not say (1.17.1)."""
    strict_system_first: bool = False
    """Whether the model's template refuses a system message that is not the first."""

    def can(self, ability: str) -> bool:
        """Return whether the model has an ability.

        Args:
            ability: "chat", "generate", "embed", "rerank", "transcribe", "speak", "generate_image", "edit_image",
                "inpaint", "ocr", or one of the server's own words, such as "vision".

        Returns:
            True if the server lists the ability, or lists none at all (as 1.17.1 does for some language models).
        """
        if ability in _TYPE_FOR:
            return self.type == _TYPE_FOR[ability]
        if ability in MEDIA_ABILITIES:
            kind, words = MEDIA_ABILITIES[ability]
            return self.type == kind and (not self.abilities or any(word.startswith(words) for word in self.abilities))
        if self.type != "LLM":
            return ability == self.type or ability in self.abilities
        # 1.17.1 lists the abilities of language models too; one that lists none is not held to it.
        return not self.abilities or ability in self.abilities


_TYPE_FOR = {"embed": "embedding", "rerank": "rerank"}

#: What is done with sound and images → the type of such a model, and what one of its abilities begins with.
MEDIA_ABILITIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "transcribe": ("audio", ("audio2text",)),
    "speak": ("audio", ("text2audio", "text2music")),
    "generate_image": ("image", ("text2image",)),
    "edit_image": ("image", ("image2image",)),
    "inpaint": ("image", ("inpainting",)),
    "ocr": ("image", ("ocr",)),
}

#: For messages: what the caller wanted, in words.
_WANTED = {
    "chat": "chat model",
    "generate": "language model",
    "embed": "embedding model",
    "rerank": "rerank model",
    "transcribe": "speech-to-text model",
    "speak": "text-to-speech model",
    "generate_image": "image generation model",
    "edit_image": "image editing model",
    "inpaint": "inpainting model",
    "ocr": "OCR model",
}


def model_from_wire(data: Any, uid: str | None = None) -> ModelInfo:
    """The description in one entry of `/v1/models`; `uid` where the server leaves it out (`/v1/models/{uid}`)."""
    if not isinstance(data, Mapping):
        msg = f"a model's description should be a JSON object, and is {type(data).__name__}"
        raise XinferenceProtocolError(msg)
    abilities = data.get("model_ability") or ()
    size = data.get("model_size_in_billions")
    return ModelInfo(
        uid=str(data.get("id") or uid or ""),
        name=str(data.get("model_name") or ""),
        type=str(data.get("model_type") or ""),
        abilities=tuple(str(word) for word in abilities) if isinstance(abilities, (list, tuple)) else (),
        context_length=_whole(data.get("context_length")),
        dimensions=_whole(data.get("dimensions")),
        max_tokens=_whole(data.get("max_tokens")),
        engine=_text(data.get("model_engine")),
        format=_text(data.get("model_format")),
        size=_text(size),
        quantization=_text(data.get("quantization")),
        replicas=_whole(data.get("replica")),
        family=_text(data.get("model_family")),
        strict_system_first=bool(data.get("strict_system_first")),
    )


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _text(value: Any) -> str | None:
    return str(value) if value not in (None, "") else None


def find_model(uid_or_name: str, running: list[ModelInfo], server_url: str) -> ModelInfo:
    """The running model with this UID, else the only one with this name.

    Raises XinferenceModelNotFoundError that says what runs instead, or lists the candidates of an ambiguous name.
    """
    for model in running:
        if model.uid == uid_or_name:
            return model
    named = [model for model in running if model.name == uid_or_name]
    if len(named) == 1:
        return named[0]
    if named:
        raise ambiguous(uid_or_name, named, server_url)
    raise not_found(uid_or_name, running, server_url, None)


def ambiguous(name: str, named: list[ModelInfo], server_url: str) -> XinferenceModelNotFoundError:
    """Return the error for a name that several running models have; it lists the candidates."""
    msg = f"{len(named)} models named {name!r} run at {server_url}: {_listed(named)}. Pass the UID of one of them."
    return XinferenceModelNotFoundError(msg, url=server_url, model_uid=name)


def not_found(
    uid: str, running: list[ModelInfo], server_url: str, ability: Ability | str | None
) -> XinferenceModelNotFoundError:
    """Return the error for an unknown model. It lists the running models, most similar name first."""
    wanted = [model for model in running if ability is None or model.can(ability)]
    what = _WANTED.get(ability or "", "model")
    if wanted:
        order = {name: place for place, name in enumerate(nearest_first(uid, [model.uid for model in wanted]))}
        there = f"Running {what}s: {_listed(sorted(wanted, key=lambda model: order[model.uid]))}."
    elif running:
        there = f"No {what} is running; running models: {_listed(running)}."
    else:
        there = "No models are running."
    kind = _TYPE_FOR.get(ability or "") or MEDIA_ABILITIES.get(ability or "", ("",))[0]
    kind = f" --model-type {kind}" if kind else ""
    msg = (
        f"No model {uid!r} runs at {server_url}. {there} Launch it with `xinference launch -e {server_url}{kind} "
        f"--model-name … --model-uid {uid}`, or pass a UID that `xinference list` prints."
    )
    return XinferenceModelNotFoundError(msg, url=server_url, model_uid=uid)


def wrong_type(model: ModelInfo, running: list[ModelInfo], server_url: str, ability: str) -> XinferenceModelTypeError:
    """Return the error for a model of the wrong type. It lists the models that fit."""
    able = [other for other in running if other.can(ability)]
    what = _WANTED.get(ability, f"model with the ability {ability!r}")
    head, with_, kind = what.partition(" with ")
    instead = f"Running {head}s{with_}{kind}: {_listed(able)}." if able else f"No {what} runs there."
    article = "an" if what[0] in "aeiouO" else "a"
    told = model.type == "LLM" or ability not in _WANTED or ability in MEDIA_ABILITIES
    has = f" with the {abilities_of(model)}" if told and model.abilities else ""
    needs = f"this call needs {article} {what}"
    msg = f"{model.uid!r} at {server_url} is a model of type {model.type}{has}; {needs}. {instead}"
    return XinferenceModelTypeError(msg, url=server_url, model_uid=model.uid)


def abilities_of(model: ModelInfo) -> str:
    """Return the model's abilities for a message: "ability ocr" or "abilities chat, vision"."""
    return f"{'ability' if len(model.abilities) == 1 else 'abilities'} {', '.join(model.abilities)}"


def _listed(models: Iterable[ModelInfo]) -> str:
    entries = [model.uid if model.name in ("", model.uid) else f"{model.uid} ({model.name})" for model in models]
    return ", ".join(entries[:12]) + (f" and {len(entries) - 12} more" if len(entries) > 12 else "")


LIST_MODELS = Request("GET", "/v1/models")


def models_from_response(response: Response) -> list[ModelInfo]:
    """The running models, in the server's order."""
    data = response.json()
    entries = data.get("data") if isinstance(data, Mapping) else None
    if not isinstance(entries, list):
        raise unexpected_answer(response, "a list of models under 'data'")
    if not all(isinstance(entry, Mapping) and entry.get("id") for entry in entries):
        raise unexpected_answer(response, "an id for each model")
    return [model_from_wire(entry) for entry in entries]


def quoted_uid(uid: str) -> str:
    """Return a UID as it stands in a path.

    Raises:
        XinferenceConfigurationError: It holds half of a surrogate pair, which no URL can.
    """
    try:
        return quote(uid, safe="")
    except UnicodeEncodeError:
        msg = f"model_uid={uid!r} is not valid Unicode text; take the UID that `xinference list` prints"
        raise XinferenceConfigurationError(msg) from None


def describe_request(uid: str, ability: Ability | None = None) -> Request:
    """Ask for one model's description; it does not count as a use, and does not feed the server's memory of 404s."""
    return Request("GET", f"/v1/models/{quoted_uid(uid)}", model_uid=uid, ability=ability)


def model_from_response(response: Response, uid: str) -> ModelInfo:
    """The description of the model that was asked for."""
    data = response.json()
    if not isinstance(data, Mapping) or "model_type" not in data:
        raise unexpected_answer(response, "a model's description")
    return model_from_wire(data, uid)


def listing_explains(error: XinferenceError, request: Request) -> bool:
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
    named = [other for other in running if other.name == uid]
    if model is None and named:
        better = ambiguous(uid, named, server_url) if len(named) > 1 else not_found(uid, running, server_url, None)
        if len(named) == 1 and isinstance(better, XinferenceModelNotFoundError):
            better.known_as = named[0].uid
    elif model is None:
        better = not_found(uid, running, server_url, request.ability)
    elif request.ability is not None and not model.can(request.ability):
        better = wrong_type(model, running, server_url, request.ability)
    else:
        return error
    return better.like(error)
