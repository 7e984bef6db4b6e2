"""The doctor's findings about one model: its description, and what its engine enforces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from xinference_bridge.cli.tables import size_of
from xinference_bridge.protocol.engines import Engine, engine_named, engines_with
from xinference_bridge.protocol.model_info import ModelInfo

#: The model types that this package supports.
USABLE = ("LLM", "embedding", "rerank", "audio", "image")
#: Types whose models all have the same abilities.
_ABLE_BY_TYPE = ("embedding", "rerank")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class Finding:
    """What the engine of one model enforces: as text, and as facts for the JSON report."""

    status: Literal["ok", "warning", "skipped"]
    detail: str
    next_step: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def described(model: ModelInfo) -> str:
    """Describe the model: type, name, engine, format and size, as far as the server reports them."""
    size = f"{size_of(model)}B parameters" if model.size else None
    lengths = [
        f"context of {model.context_length} tokens" if model.context_length else None,
        f"{model.dimensions} dimensions" if model.dimensions else None,
        f"texts of up to {model.max_tokens} tokens" if model.max_tokens else None,
        f"{model.replicas} replicas" if (model.replicas or 1) > 1 else None,
    ]
    quantization = None if model.quantization in (None, "none") else model.quantization
    first = f"{model.type} {model.name} on {model.engine or 'an unknown engine'}"
    abilities = (
        f"abilities: {', '.join(model.abilities)}" if model.type not in _ABLE_BY_TYPE and model.abilities else None
    )
    return ", ".join(part for part in (first, model.format, quantization, size, *lengths, abilities) if part)


def enforced(model: ModelInfo) -> Finding:
    """Return what the engine does with structured output, forced tools and streamed tools."""
    if model.type != "LLM":
        return Finding("skipped", f"does not apply to a model of type {model.type}")
    if not model.can("chat"):
        return Finding("skipped", "this model only completes text; structured output and tools need a chat model")
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
        words.append("streamed tools: " + ("parsed" if engine.streams_tool_calls else "as text, parsed by the bridge"))
    else:
        words.append("tools: not supported by the model")
    words.append(f"reasoning: {reasoning}")
    missing = _missing(engine, tools=tools)
    return Finding("warning" if missing else "ok", "; ".join(words), missing, facts)


def _reasoning(model: ModelInfo) -> str:
    if "reasoning" not in model.abilities:
        return "no"
    return "yes, can be turned off" if "hybrid" in model.abilities else "yes"


def _says(wish: str, word: str, is_so: bool) -> str:
    return f"{wish}: {word if is_so else f'not {word}'}"


def _missing(engine: Engine, *, tools: bool) -> str | None:
    """Return advice for an engine that does not enforce everything; None if it does."""
    features = {}
    if not engine.json_schema:
        features["a JSON schema"] = engines_with("json_schema")
    if tools and not engine.json_schema:
        features["a forced tool"] = engines_with("json_schema")
    if not features:
        return None
    able = "; ".join(f"{feature} is enforced by {', '.join(names)}" for feature, names in features.items())
    return f"The bridge checks the answers and raises an error if one does not match. On 4.1.0 {able}."


def duration(seconds: float) -> str:
    """Format seconds for people: 45 s, 12 min, 3 h, 2 days."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} days"
