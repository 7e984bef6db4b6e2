"""Which models run on a server: their descriptions, and a name or UID found among them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xinference_bridge.errors import XinferenceModelNotFoundError, XinferenceModelTypeError, XinferenceProtocolError
from xinference_bridge.suggestions import nearest_first
from xinference_bridge.wire import Ability


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the server says of one running model; None where it does not say.

    `type` is the server's word ("LLM", "embedding", "rerank", "image", …); `abilities` are its `model_ability`
    ("generate", "chat", "tools", "vision", "reasoning", "hybrid", …). `context_length` and `max_tokens` count tokens.
    Source: `GET /v1/models`.
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
    strict_system_first: bool = False
    """Whether the model's template refuses a system message that is not the first."""

    def can(self, ability: str) -> bool:
        """Whether the model serves this: "chat", "generate", "embed", "rerank", or one of the server's own words."""
        if ability in _TYPE_FOR:
            return self.type == _TYPE_FOR[ability]
        if self.type != "LLM":
            return ability == self.type or ability in self.abilities
        # 1.17.1 lists the abilities of language models too; one that lists none is not held to it.
        return not self.abilities or ability in self.abilities


_TYPE_FOR = {"embed": "embedding", "rerank": "rerank"}

#: For messages: what the caller wanted, in words.
_WANTED = {"chat": "chat model", "generate": "language model", "embed": "embedding model", "rerank": "rerank model"}


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
        msg = (
            f"{len(named)} models named {uid_or_name!r} run at {server_url}: {_listed(named)}. Give the UID of the one "
            "that is meant."
        )
        raise XinferenceModelNotFoundError(msg, url=server_url, model_uid=uid_or_name)
    raise not_found(uid_or_name, running, server_url, None)


def not_found(
    uid: str, running: list[ModelInfo], server_url: str, ability: Ability | str | None
) -> XinferenceModelNotFoundError:
    """No such model: what runs there of the wanted type, nearest name first, and how to launch one."""
    wanted = [model for model in running if ability is None or model.can(ability)]
    what = _WANTED.get(ability or "", "model")
    if wanted:
        order = {name: place for place, name in enumerate(nearest_first(uid, [model.uid for model in wanted]))}
        there = f"Running {what}s: {_listed(sorted(wanted, key=lambda model: order[model.uid]))}."
    elif running:
        there = f"No {what} runs there; running: {_listed(running)}."
    else:
        there = "Nothing runs there."
    kind = {"embed": " --model-type embedding", "rerank": " --model-type rerank"}.get(ability or "", "")
    msg = (
        f"No model {uid!r} runs at {server_url}. {there} Launch it with `xinference launch -e {server_url}{kind} "
        f"--model-name … --model-uid {uid}`, or give the UID that `xinference list` prints."
    )
    return XinferenceModelNotFoundError(msg, url=server_url, model_uid=uid)


def wrong_type(model: ModelInfo, running: list[ModelInfo], server_url: str, ability: str) -> XinferenceModelTypeError:
    """The model is there, but of another type than the call needs: what could do it instead."""
    able = [other for other in running if other.can(ability)]
    what = _WANTED.get(ability, f"model with the ability {ability!r}")
    instead = f"Running {what}s: {_listed(able)}." if able else f"No {what} runs there."
    article = "an" if what[0] in "aeiou" else "a"
    has = f" with the abilities {', '.join(model.abilities)}" if model.type == "LLM" and model.abilities else ""
    needs = f"this call needs {article} {what}"
    msg = f"{model.uid!r} at {server_url} is a model of type {model.type}{has}; {needs}. {instead}"
    return XinferenceModelTypeError(msg, url=server_url, model_uid=model.uid)


def _listed(models: Iterable[ModelInfo]) -> str:
    entries = [model.uid if model.name in ("", model.uid) else f"{model.uid} ({model.name})" for model in models]
    return ", ".join(entries[:12]) + (f" and {len(entries) - 12} more" if len(entries) > 12 else "")
