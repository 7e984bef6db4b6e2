"""What each engine enforces, as a table. Tested on 4.1.0 unless noted. The only place that names engines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Engine:
    """What one engine does with a request. False if unknown."""

    name: str
    json_schema: bool = False
    """`response_format` with a schema is enforced on the answer; so a forced tool call is asked for as one."""
    json_object: bool = False
    """`response_format: json_object` is enforced on the answer."""
    schema_from_the_first_token: bool = False
    """An enforced schema leaves no room for a thought before the answer: a reasoning model began with `{"name": "`."""
    json_schema_beside_tools: bool = True
    """A schema may be asked for in a call that has tools."""
    streams_tool_calls: bool = False
    """Tool calls come parsed in a stream, not as `<tool_call>` text."""
    counts_tokens: bool = False
    """`/v1/messages/count_tokens` answers."""
    completes_chat_models: bool = True
    """`/v1/completions` answers for a model that can chat, too."""
    truncates_silently: bool = False
    """A prompt beyond the context is cut at its beginning and answered, without a word."""
    most_slots: int = 1
    """Number of concurrent requests that may share the described context; the description has only the total."""


_KNOWN = (
    # A schema beside tools: 500 "The chat completion request failed", for it builds one grammar of either.
    # tool_choice by name: asked for `alpha`, it called `beta`; "required": SmolLM2 wrote 500 tokens of prose, and
    # Qwen2.5-Coder the call in a fence. json_object: answered in prose.
    Engine(
        "llama.cpp",
        json_schema=True,
        schema_from_the_first_token=True,
        json_schema_beside_tools=False,
        streams_tool_calls=True,
        most_slots=8,  # n_parallel is min(8, cores) unless the model was launched with one
    ),
    # 24,029 tokens sent to a context of 4,096: answered, with 4,080 prompt tokens.
    # /v1/completions on a chat model: 500 `'str' object has no attribute 'get'`.
    Engine("transformers", counts_tokens=True, truncates_silently=True, completes_chat_models=False),
    # Read in the server's code, not run: forced choices are honoured on /v1/messages alone.
    Engine("vllm", json_schema=True, json_object=True, streams_tool_calls=True, counts_tokens=True),
    Engine("sglang", json_schema=True, json_object=True, streams_tool_calls=True, counts_tokens=True),
)
_BY_NAME = {engine.name: engine for engine in _KNOWN}


def engine_named(name: str | None) -> Engine:
    """What the engine of this name enforces; of one that is not known (MLX, a server before 3.0) nothing is assumed."""
    known = _BY_NAME.get(name.lower()) if name else None
    return known if known is not None else Engine(name or "unknown")


def engines_with(trait: str) -> list[str]:
    """The names of the engines that have this trait, a field of `Engine`."""
    return [engine.name for engine in _KNOWN if getattr(engine, trait)]
