"""What a chat model can do, as LangChain asks for it, out of the server's description; asked at the first look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from langchain_xinference_bridge.errors import translated_errors
from xinference_bridge.environment import in_event_loop
from xinference_bridge.errors import XinferencePermissionError
from xinference_bridge.models.base import ModelHandle
from xinference_bridge.protocol.engines import engine_named
from xinference_bridge.protocol.model_info import ModelInfo

if TYPE_CHECKING:
    from langchain_xinference_bridge._base import XinferenceFields


def profile_of(model: ModelInfo) -> dict[str, Any]:
    """LangChain's profile of a model: what its abilities allow and what its engine enforces."""
    engine = engine_named(model.engine)
    able = set(model.abilities)
    everything = "omni" in able
    profile: dict[str, Any] = {
        "name": model.name or model.uid,
        "text_inputs": True,
        "text_outputs": True,
        "image_inputs": "vision" in able or everything,
        "image_url_inputs": "vision" in able or everything,
        "audio_inputs": "audio" in able or everything,
        "video_inputs": "vision" in able or "video" in able or everything,
        "pdf_inputs": False,
        "reasoning_output": bool(able & {"reasoning", "hybrid"}),
        "tool_calling": model.can("tools"),
        "tool_choice": engine.json_schema,
        # By it create_agent decides between a response_format and a forced call of a tool that takes the answer, with
        # the agent's tools beside either.
        "structured_output": engine.json_schema and engine.json_schema_beside_tools,
        # Tags in the text of an engine that parses nothing are read while they stream, so chunks come in any case.
        "tool_call_streaming": model.can("tools"),
    }
    if model.context_length is not None:
        profile["max_input_tokens"] = model.context_length
    return profile


class LazyProfile(Mapping[str, Any]):
    """The profile of one model, asked of the server at the first look and kept with its connection.

    Empty where the credential may use the model but not look at its description, and in a running event loop as long as
    nothing is known: asking would block the loop. `aprepare` asks there; an agent that did not await it takes a
    structured answer by a forced tool call, which every engine can be held to.
    """

    __slots__ = ("_model",)

    def __init__(self, model: XinferenceFields) -> None:
        self._model = model

    def _known(self) -> dict[str, Any]:
        handle = self._model._handle(ModelHandle)  # noqa: SLF001 - its own profile
        known = handle.known_description()
        if known is None:
            if in_event_loop():
                return {}
            with translated_errors:
                try:
                    known = handle.describe()
                except XinferencePermissionError:
                    return {}
        profile = profile_of(known)
        stated = getattr(self._model, "context_length", None)
        return profile if stated is None else {**profile, "max_input_tokens": stated}

    def __getitem__(self, key: str) -> Any:
        return self._known()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def __bool__(self) -> bool:
        # Truth is asked while the model is built, and building makes no call.
        return True

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LazyProfile):
            mine, its = self._model, other._model
            return mine.model_uid == its.model_uid and mine._connection() == its._connection()
        return dict(self) == other if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        known = self._model._handle(ModelHandle).known_description()  # noqa: SLF001 - its own profile
        return repr(profile_of(known)) if known is not None else "<asked of the server at the first look>"
