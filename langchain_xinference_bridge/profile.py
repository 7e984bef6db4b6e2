"""LangChain's model profile, from the server's description, fetched on first access."""

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
    """Return the profile of a model, from its abilities and what its engine enforces."""
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
        # create_agent uses it to choose between a response_format and a forced tool call, with
        # the agent's own tools in either case.
        "structured_output": engine.json_schema and engine.json_schema_beside_tools,
        # Tags in the text are parsed while they stream, so there are chunks on every engine.
        "tool_call_streaming": model.can("tools"),
    }
    if model.context_length is not None:
        profile["max_input_tokens"] = model.context_length
    return profile


class LazyProfile(Mapping[str, Any]):
    """The profile of one model, fetched from the server on first access and cached with its connection.

    Empty if the credential may not read the description, and in a running event loop as long as
    nothing is cached: a request would block the loop. Await `aprepare` there. Without it, an agent gets a
    structured answer through a forced tool call, which works on every engine.
    """

    __slots__ = ("_model",)

    def __init__(self, model: XinferenceFields) -> None:
        self._model = model

    def _known(self) -> dict[str, Any]:
        handle = self._model._handle(ModelHandle)  # noqa: SLF001 - the same class
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
        # `bool()` is called while the model is built, which must make no network call.
        return True

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LazyProfile):
            mine, its = self._model, other._model
            return mine.model_uid == its.model_uid and mine._connection() == its._connection()
        return dict(self) == other if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        known = self._model._handle(ModelHandle).known_description()  # noqa: SLF001 - the same class
        return repr(profile_of(known)) if known is not None else "<fetched on first access>"
