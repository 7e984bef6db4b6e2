"""Convert a call to the request that the model's engine supports. Pure."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from xinference_bridge.errors import XinferenceBadRequestError, XinferenceUnsupportedError
from xinference_bridge.protocol.chat.enforced_schema import closed, refuse_dangling, schema_of_calls
from xinference_bridge.protocol.chat.forced_call import (
    ForcedCallAnswer,
    GrowingAnswer,
    read_call,
    with_call_instruction,
    with_system_words,
)
from xinference_bridge.protocol.chat.json_schema import of_objects
from xinference_bridge.protocol.chat.media_parts import for_engine
from xinference_bridge.protocol.chat.messages import WireMessage, WireTool
from xinference_bridge.protocol.chat.reading import start_of
from xinference_bridge.protocol.chat.request import (
    _MEDIA_ABILITY,
    ChatCall,
    NamedTool,
    StructuredOutput,
    ToolChoice,
    _has_media,
    _media,
)
from xinference_bridge.protocol.chat.result import ChatResult
from xinference_bridge.protocol.chat.tags import Start
from xinference_bridge.protocol.engines import Engine, engine_named, engines_with
from xinference_bridge.protocol.http import JSON, Request
from xinference_bridge.protocol.model_info import ModelInfo, abilities_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChatPlan:
    """The request, and how to read and check its answer."""

    request: Request
    reads_tools: bool
    start: Start
    forced: ToolChoice | None = None
    """The forced tool choice that the answer must contain."""
    engine: str = ""
    model: ModelInfo | None = None
    """The model's description."""
    call_as_json: bool = False
    """Whether the engine must answer with the JSON of a tool call."""

    def reading(self, answer: GrowingAnswer) -> GrowingAnswer:
        """Return what reads the stream: the accumulator, made to tell JSON as a tool call where it is one."""
        if not self.call_as_json:
            return answer
        return ForcedCallAnswer(answer, reasoning_is_answer=engine_named(self.engine).schema_from_the_first_token)

    def read(self, result: ChatResult) -> None:
        """Turn a whole answer's JSON into the tool call that it is, in place."""
        if self.call_as_json:
            read_call(result, reasoning_is_answer=engine_named(self.engine).schema_from_the_first_token)

    @property
    def tools(self) -> Sequence[Any] | bool:
        """The tools of the request, if calls are parsed from the text."""
        return (self.request.json or {}).get("tools") or True if self.reads_tools else False

    def starts(self, model: ModelInfo | None) -> Start:
        """Return what the answer begins with, now that this is known of the model."""
        if self.model is not None or model is None:
            return self.start
        return start_of(model, self.request.json or {}, engine_named(model.engine))

    def _enforcement(self) -> str:
        if self.call_as_json:
            return f"The engine {self.engine} was given a schema of the call, which it should enforce."
        enforcing = ", ".join(engines_with("json_schema"))
        return f"The engine {self.engine} does not enforce a choice of tool; {enforcing} do."

    def check(self, result: ChatResult) -> None:
        """Raise XinferenceUnsupportedError if a forced tool was not called."""
        if self.forced is None:
            return
        called = [call.name for call in result.tool_calls]
        wanted = self.forced.name if isinstance(self.forced, NamedTool) else None
        if (wanted in called) if wanted is not None else called:
            return
        which = f"the tool {wanted!r}" if wanted is not None else "a tool"
        because = " (the answer reached max_tokens)" if result.finish_reason == "length" else ""
        msg = (
            f"{which} had to be called, and the model {self.request.model_uid!r} answered without{because}: "
            f"{result.text[:200]!r}. {self._enforcement()}"
        )
        raise XinferenceUnsupportedError(msg, model_uid=self.request.model_uid, body=result.text)


def needs_description(call: ChatCall, *, stream: bool) -> bool:
    """Return whether the request depends on the model, so that its description is needed first.

    A stream does, for where a reasoning model's first text belongs: it cannot be taken back once it was given.
    """
    forced = call.tool_choice not in (None, "auto")
    return stream or forced or call.structured is not None or "response_format" in call.parameters or _has_media(call)


def plan_chat(
    uid: str, call: ChatCall, model: ModelInfo | None, *, stream: bool, stream_usage: bool = True
) -> ChatPlan:
    """Return the request for this model. Raise XinferenceUnsupportedError if the model does not support it."""
    engine = engine_named(model.engine if model is not None else None)
    if model is not None:
        _refuse_media(call.messages, model)
    call = replace(call, messages=for_engine(call.messages, engine))
    for tool in call.tools:
        refuse_dangling(tool["function"].get("parameters"), f"The tool {tool['function'].get('name')!r}")
    call = _structured(call, engine, model)
    parameters: JSON = dict(call.parameters)
    _close(parameters)
    forced, as_json = _choose_tools(parameters, call, engine)
    messages = with_call_instruction(call.messages, as_json) if as_json else call.messages
    _warn_of_ignored(parameters, engine)
    if stream:
        parameters["stream"] = True
        if stream_usage:
            parameters.setdefault("stream_options", {"include_usage": True})
    return ChatPlan(
        request=chat_request(uid, messages, parameters),
        reads_tools=bool(call.tools) and call.tool_choice != "none" and not as_json,
        start=start_of(model, parameters, engine),
        # A structured answer is refused by its own reader, who also takes JSON text for it.
        forced=forced if call.structured is None else None,
        call_as_json=bool(as_json),
        engine=engine.name,
        model=model,
    )


def _choose_tools(parameters: JSON, call: ChatCall, engine: Engine) -> tuple[ToolChoice | None, Sequence[WireTool]]:
    """Add the tools and the choice in the form that this engine supports.

    Returns:
        The choice that is left to check afterwards, and the tools that a schema was made of instead of being sent.
    """
    choice = call.tool_choice
    if not call.tools:
        if choice not in (None, "auto", "none"):
            msg = f"tool_choice={_written(choice)!r} needs tools, and none were given"
            raise XinferenceBadRequestError(msg)
        return None, ()
    if choice == "none":
        # llama.cpp and transformers leave the tools in the prompt and may call one anyway, so they are not sent.
        return None, ()
    tools: Sequence[WireTool] = call.tools
    if isinstance(choice, NamedTool):
        # No engine of 4.1.0 honours a name on this endpoint (llama.cpp was asked for `alpha` and called `beta`), but
        # the only tool there is cannot be mistaken.
        tools = [tool for tool in tools if tool["function"].get("name") == choice.name]
        if not tools:
            names = ", ".join(str(tool["function"].get("name")) for tool in call.tools)
            msg = f"tool_choice names {choice.name!r}, which is not among the tools: {names}"
            raise XinferenceBadRequestError(msg)
    forced = choice not in (None, "auto")
    _refuse_two_grammars(parameters, engine, forced=forced)
    if forced and engine.json_schema:
        parameters.pop("parallel_tool_calls", None)  # one call is all that the schema admits
        wanted = {"name": "tool_call", "schema": schema_of_calls(tools), "strict": True}
        parameters["response_format"] = {"type": "json_schema", "json_schema": wanted}
        return choice, tools
    parameters["tools"] = list(tools)
    if forced:
        parameters["tool_choice"] = "required"
    elif choice is not None:
        parameters["tool_choice"] = choice
    return (choice if forced else None), ()


def _refuse_two_grammars(parameters: Mapping[str, Any], engine: Engine, *, forced: bool) -> None:
    """Refuse a schema for the answer beside tools where the engine takes one of them: an opaque 500 on llama.cpp."""
    wanted = parameters.get("response_format")
    if not isinstance(wanted, Mapping) or wanted.get("type") != "json_schema" or not engine.json_schema:
        return
    if forced:
        msg = "response_format asks for one JSON answer and tool_choice for another: leave one of them out."
        raise XinferenceUnsupportedError(msg)
    if not engine.json_schema_beside_tools:
        msg = (
            f"The engine {engine.name} takes a response_format with a schema or tools, not both in one call: leave one "
            "of them out, or give the answer's form as a tool."
        )
        raise XinferenceUnsupportedError(msg)


def _close(parameters: JSON) -> None:
    """Close the objects of a schema in `response_format`, and refuse one that is not whole."""
    wanted = parameters.get("response_format")
    inner = wanted.get("json_schema") if isinstance(wanted, Mapping) else None
    schema = inner.get("schema") if isinstance(inner, Mapping) else None
    if isinstance(wanted, Mapping) and isinstance(inner, Mapping) and isinstance(schema, Mapping):
        refuse_dangling(schema, "The schema of the answer")
        parameters["response_format"] = {**wanted, "json_schema": {**inner, "schema": closed(dict(schema))}}


def _written(choice: ToolChoice | None) -> str | None:
    return choice.name if isinstance(choice, NamedTool) else choice


def _structured(call: ChatCall, engine: Engine, model: ModelInfo | None) -> ChatCall:
    """The wish for JSON in the way that this engine enforces, else in one that the answer can be checked by."""
    wanted = call.structured
    if wanted is None:
        return call
    way = _way(wanted, engine, model)
    if way == "json_schema":
        return _with_parameters(call, response_format=_json_schema(wanted))
    if way == "json_object":
        return _with_parameters(call, response_format={"type": "json_object"})
    if way == "any_object":
        # llama.cpp ignores json_object, but enforces a schema: this one admits every object.
        return _with_parameters(call, response_format=_json_schema(replace(wanted, schema={"type": "object"})))
    if way == "function":
        tool: WireTool = {"type": "function", "function": _function(wanted)}
        refuse_dangling(wanted.schema, f"The schema of {wanted.name!r}")
        return replace(call, tools=[tool], tool_choice="required")
    if way == "prompt":
        return replace(call, messages=_with_instruction(call.messages, wanted))
    return call  # json_mode on an engine without it: the caller's own prompt says the form, the reader checks it


def _way(wanted: StructuredOutput, engine: Engine, model: ModelInfo | None) -> str:
    objects = of_objects(wanted.schema)
    if wanted.method == "function_calling":
        return "function"
    if wanted.method == "json_mode":
        if not objects:
            return "as it is"  # what the engines have for it admits objects alone
        if engine.json_object:
            return "json_object"
        return "any_object" if engine.json_schema else "as it is"
    if engine.json_schema:
        return "json_schema"
    # An unenforced response_format would be ignored in silence. A tool's schema at least reaches the prompt.
    # The arguments of a call are an object: a list can only be asked for in words.
    return "function" if objects and (model is None or model.can("tools")) else "prompt"


def _json_schema(wanted: StructuredOutput) -> JSON:
    inner: JSON = {"name": wanted.name, "schema": wanted.schema}
    if wanted.description:
        inner["description"] = wanted.description
    inner["strict"] = True if wanted.strict is None else wanted.strict
    return {"type": "json_schema", "json_schema": inner}


def _function(wanted: StructuredOutput) -> Any:
    function: JSON = {"name": wanted.name, "description": wanted.description, "parameters": wanted.schema}
    if wanted.strict is not None:
        function["strict"] = wanted.strict
    return function


def _with_instruction(messages: Sequence[WireMessage], wanted: StructuredOutput) -> list[WireMessage]:
    schema = orjson.dumps(wanted.schema).decode()
    kind = "object" if of_objects(wanted.schema) else "value"
    return with_system_words(
        messages, f"Answer with one JSON {kind} that satisfies this JSON schema, and nothing else:\n{schema}"
    )


def _with_parameters(call: ChatCall, **parameters: Any) -> ChatCall:
    return replace(call, parameters={**call.parameters, **parameters})


def _refuse_media(messages: Sequence[WireMessage], model: ModelInfo) -> None:
    """The transformers engine drops an image for a text-only model in silence, llama.cpp answers an opaque 500."""
    kinds = _media(messages)
    if not kinds or not model.abilities:
        return
    able = set(model.abilities) | ({"audio", "video", "vision"} if "omni" in model.abilities else set())
    if "vision" in able:
        able.add("video")  # the server lists no ability of its own for video
    for kind in sorted(kinds):
        if _MEDIA_ABILITY[kind] not in able:
            msg = (
                f"{model.uid!r} cannot take a content block of type {kind!r}: it has the "
                f"{abilities_of(model)}. Use a model with the ability {_MEDIA_ABILITY[kind]!r}."
            )
            raise XinferenceUnsupportedError(msg, model_uid=model.uid)


_warned: set[tuple[str, str]] = set()


def _warn_of_ignored(parameters: Mapping[str, Any], engine: Engine) -> None:
    """Warn once per engine and format that an explicit response_format has no effect."""
    wanted = parameters.get("response_format")
    if wanted is None:
        return
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    enforced = {"json_schema": engine.json_schema, "json_object": engine.json_object}.get(str(kind), True)
    if not enforced and engine.name != "unknown" and (engine.name, str(kind)) not in _warned:
        _warned.add((engine.name, str(kind)))
        _log.warning("response_format %r is ignored by the engine %s: check the answer", kind, engine.name)


def chat_request(uid: str, messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]) -> Request:
    """Return the body of a chat request. Absent parameters are left out, so that the server's defaults apply."""
    body = {"model": uid, "messages": messages, **parameters}
    return Request("POST", "/v1/chat/completions", body, model_uid=uid, ability="chat")
