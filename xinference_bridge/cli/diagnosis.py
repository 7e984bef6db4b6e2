"""What a model is, and what its engine enforces: the doctor's words on one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from xinference_bridge.cli.tables import size_of
from xinference_bridge.protocol.engines import Engine, engine_named, engines_with
from xinference_bridge.protocol.model_info import ModelInfo

#: The server's model types that this package calls.
USABLE = ("LLM", "embedding", "rerank", "audio", "image")
#: Types whose models all do the same.
_ABLE_BY_TYPE = ("embedding", "rerank")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class Finding:
    """What the engine of one model enforces, in words and as facts."""

    status: Literal["ok", "warning", "skipped"]
    detail: str
    next_step: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def described(model: ModelInfo) -> str:
    """Type, name, engine, format and size of the model, as far as the server says."""
    size = f"{size_of(model)}B parameters" if model.size else None
    lengths = [
        f"context of {model.context_length} tokens" if model.context_length else None,
        f"{model.dimensions} dimensions" if model.dimensions else None,
        f"texts of up to {model.max_tokens} tokens" if model.max_tokens else None,
        f"{model.replicas} replicas" if (model.replicas or 1) > 1 else None,
    ]
    quantization = None if model.quantization in (None, "none") else model.quantization
    first = f"{model.type} {model.name} on {model.engine or 'an engine that the server does not name'}"
    abilities = (
        f"abilities: {', '.join(model.abilities)}" if model.type not in _ABLE_BY_TYPE and model.abilities else None
    )
    return ", ".join(part for part in (first, model.format, quantization, size, *lengths, abilities) if part)


def enforced(model: ModelInfo) -> Finding:
    """What the engine really does with the wishes that frameworks send."""
    if model.type != "LLM":
        return Finding("skipped", f"there is nothing to enforce on a model of type {model.type}")
    if not model.can("chat"):
        return Finding("skipped", "this model completes text; structured output and tools are asked of chat models")
    engine = engine_named(model.engine)
    tools, reasoning = model.can("tools"), _reasoning(model)
    facts = {
        "structured_output": engine.json_schema,
        "forced_tools": tools and engine.json_schema,
        "streamed_tools": tools and engine.streams_tool_calls,
        "tools": tools,
        "reasoning": reasoning,
    }
    words = [_says("structured output", "enforced", engine.json_schema)]
    if tools:
        words.append(_says("forced tools", "enforced", engine.json_schema))
        words.append("streamed tools: " + ("parsed" if engine.streams_tool_calls else "as text, which is read here"))
    else:
        words.append("tools: none, the model takes none")
    words.append(f"reasoning: {reasoning}")
    missing = _missing(engine, tools=tools)
    return Finding("warning" if missing else "ok", "; ".join(words), missing, facts)


def _reasoning(model: ModelInfo) -> str:
    if "reasoning" not in model.abilities:
        return "no"
    return "yes, can be switched off" if "hybrid" in model.abilities else "yes"


def _says(wish: str, word: str, is_so: bool) -> str:
    return f"{wish}: {word if is_so else f'not {word}'}"


def _missing(engine: Engine, *, tools: bool) -> str | None:
    """What to know of an engine that leaves something to chance."""
    wishes = {}
    if not engine.json_schema:
        wishes["a JSON schema"] = engines_with("json_schema")
    if tools and not engine.json_schema:
        wishes["a forced tool"] = engines_with("json_schema")
    if not wishes:
        return None
    able = "; ".join(f"{wish} is enforced by {', '.join(names)}" for wish, names in wishes.items())
    return f"Answers are checked here, and what was not kept is an error. On 4.1.0 {able}."


def duration(seconds: float) -> str:
    """Seconds as a person says them: 45 s, 12 min, 3 h, 2 days."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} days"
