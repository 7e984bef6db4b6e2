"""`with_structured_output`: convert schemas for the core, and answers to the schema's values."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, get_args

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import BaseGenerationOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.utils import AddableDict
from langchain_core.utils.json import parse_partial_json
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ConfigDict
from pydantic.errors import PydanticUserError
from typing_extensions import override

from langchain_xinference_bridge._schemas import function_from
from langchain_xinference_bridge.errors import XinferenceConfigurationError, XinferenceStructuredOutputError
from xinference_bridge.protocol.chat.json_schema import malformed, of_objects, violation
from xinference_bridge.protocol.chat.messages import arguments_to_json
from xinference_bridge.protocol.chat.request import StructuredMethod, StructuredOutput
from xinference_bridge.protocol.chat.structured_output import json_of_answer, not_structured, what_was_said
from xinference_bridge.protocol.exact_json import loads_exact, too_deep

#: The keyword that binds a model to a schema.
STRUCTURED = "structured_output"

Schema = dict[str, Any] | type


def wanted_from_schema(
    schema: Schema | None, method: StructuredMethod | None = None, *, strict: bool | None = None
) -> StructuredOutput:
    """Return the core's request for this schema.

    `schema` is a pydantic class, a TypedDict, a JSON schema, an OpenAI function, tool or response_format. None is any
    object, only for json_mode. Raises XinferenceConfigurationError for an unknown method or an unusable schema.
    """
    if method is not None and method not in get_args(StructuredMethod):
        known = ", ".join(map(repr, get_args(StructuredMethod)))
        msg = f"method={method!r} must be one of {known}; by default, the engine decides"
        raise XinferenceConfigurationError(msg)
    if schema is None:
        if method != "json_mode":
            msg = "with_structured_output needs a schema; without one there is method='json_mode' alone"
            raise XinferenceConfigurationError(msg)
        return StructuredOutput("Answer", {"type": "object"}, method=method)
    function = _function_of(schema)
    if not isinstance(function.get("name"), str) or not function["name"]:
        msg = f"the schema's name or title must be a non-empty text, and is {function.get('name')!r}"
        raise XinferenceConfigurationError(msg)
    if wrong := malformed(parameters := _parameters_of(function)):
        msg = f"the schema of {function['name']!r} cannot be used: {wrong}"
        raise XinferenceConfigurationError(msg)
    if method == "function_calling" and not of_objects(parameters):
        msg = (
            f"method='function_calling' cannot be used for {function['name']!r}: the arguments of a call are an "
            "object, and this schema's values are not. Put them into a field of an object, or use method='json_schema'."
        )
        raise XinferenceConfigurationError(msg)
    if strict is None:
        strict = function.get("strict")
    return StructuredOutput(
        name=function["name"],
        schema=parameters,
        description=str(function.get("description") or ""),
        strict=strict,
        method=method,
    )


def _parameters_of(function: Mapping[str, Any]) -> Any:
    """Return the schema; an OpenAI function may have none or an empty one, which means no parameters."""
    parameters = function.get("parameters")
    return {"type": "object", "properties": {}} if parameters is None or parameters == {} else parameters


def _function_of(schema: Schema) -> dict[str, Any]:
    """Return name, description and parameters from any form of schema."""
    if isinstance(schema, dict):
        # OpenAI's forms: {"type": "json_schema", "json_schema": …}, {"type": "function", "function": …}
        form: dict[str, Any] = schema
        for outer in ("json_schema", "function"):
            if isinstance(form.get(outer), dict):
                form = form[outer]
        if "schema" in form and "name" in form:
            return {**form, "parameters": form["schema"]}
        if "name" in form and "parameters" in form:
            return form
        if "name" in form and (rest := {name: form[name] for name in form if name not in _ABOUT}):
            return {**form, "parameters": rest}
        schema = form if "title" in form or "name" in form else {"title": "Answer", **form}
    try:
        return function_from(schema)
    except (ValueError, TypeError, LookupError, AttributeError, PydanticUserError) as unusable:
        msg = f"the schema {schema!r} cannot be used: {unusable}"
        raise XinferenceConfigurationError(msg) from None


#: What an OpenAI function without parameters, or another provider's tool, may have: anything else is its schema.
_ABOUT = frozenset({"name", "title", "description", "strict", "input_schema"})


class StructuredReader(BaseGenerationOutputParser[Any]):
    """Parses the value of a schema from an answer, which has it as a tool call or as JSON text.

    For a stream, yields the partial value as far as it satisfies the schema's class. Raises
    XinferenceStructuredOutputError if the complete answer does not match. With `include_raw`, returns a dict of
    `raw`, `parsed` and `parsing_error` and raises nothing.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    wanted: StructuredOutput
    target: Any = None
    """The pydantic class to build. None: a dict that is checked against the schema."""
    include_raw: bool = False

    @override
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        message = result[0].message if isinstance(result[0], ChatGeneration) else AIMessage(result[0].text)
        return self.with_raw(message) if self.include_raw else self.value_of(message)

    def with_raw(self, message: BaseMessage) -> AddableDict:
        """The answer, its value, or the reason why there is none."""
        try:
            return AddableDict(raw=message, parsed=self.value_of(message), parsing_error=None)
        except XinferenceStructuredOutputError as error:
            return AddableDict(raw=message, parsed=None, parsing_error=error)

    @override
    def transform(
        self, input: Iterator[str | BaseMessage], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        yield from self._transform_stream_with_config(input, self._read, config, run_type="parser")

    @override
    async def atransform(
        self, input: AsyncIterator[str | BaseMessage], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        async for value in self._atransform_stream_with_config(input, self._aread, config, run_type="parser"):
            yield value

    def _read(self, answers: Iterator[str | BaseMessage]) -> Iterator[Any]:
        growing = _Growing(self)
        for answer in answers:
            yield from growing.add(answer)
        yield from growing.end()

    async def _aread(self, answers: AsyncIterator[str | BaseMessage]) -> AsyncIterator[Any]:
        growing = _Growing(self)
        async for answer in answers:
            for value in growing.add(answer):
                yield value
        for value in growing.end():
            yield value

    def value_of(self, message: BaseMessage) -> Any:
        """Return the value of a complete answer."""
        text = str(message.text)
        try:
            return self.of_schema(self._json_of(message, text))
        except _NotOfSchema as wrong:
            why = str(wrong)
        shown = what_was_said(text, _calls_of(message))
        error = not_structured(shown, self.wanted, why, message.response_metadata.get("finish_reason"))
        raise XinferenceStructuredOutputError(error.message, llm_output=shown, body=error.body)

    def _json_of(self, message: BaseMessage, text: str) -> Any:
        if isinstance(message, AIMessage):
            named = [call for call in message.tool_calls if call["name"] == self.wanted.name]
            # There is only one tool, so a single call under another name counts too. Only llama.cpp rules that out.
            for call in named or message.tool_calls[:1]:
                return call["args"]
            for broken in message.invalid_tool_calls:
                if broken["name"] == self.wanted.name:
                    raise _NotOfSchema(broken["error"] or "its arguments are not JSON")
        try:
            return loads_exact(json_of_answer(text, (), self.wanted))
        except ValueError as wrong:
            raise _NotOfSchema(f"it is not JSON ({wrong})") from None

    def of_schema(self, value: Any) -> Any:
        """Return the value as the schema's class, or as a checked dict."""
        if not isinstance(value, dict) and of_objects(self.wanted.schema):
            raise _NotOfSchema("its JSON is not an object")
        if self.target is None:
            if wrong := violation(value, self.wanted.schema):
                raise _NotOfSchema(wrong)
            return value
        try:
            # Pydantic 1 classes, which LangChain still supports, have the older method name.
            return (
                self.target.model_validate(value)
                if issubclass(self.target, BaseModel)
                else self.target.parse_obj(value)
            )
        except ValueError as wrong:
            raise _NotOfSchema(str(wrong)) from None


def _calls_of(message: BaseMessage) -> list[tuple[str, str]]:
    """Return the calls of an answer as written, including invalid ones."""
    if not isinstance(message, AIMessage):
        return []
    calls = [(call["name"], arguments_to_json(call["args"])) for call in message.tool_calls]
    return calls + [(broken["name"] or "", broken["args"] or "") for broken in message.invalid_tool_calls]


class _NotOfSchema(Exception):  # noqa: N818 - converted to the public error when caught
    """The reason why an answer does not match the schema."""


class _Growing:
    """The chunks of one stream, and the value so far."""

    def __init__(self, reader: StructuredReader) -> None:
        self._reader = reader
        self._messages: list[BaseMessage] = []
        self._text: list[str] = []
        self._arguments: list[str] = []
        self._last: Any = None
        # Lists would be joined to one by whoever adds up the values.
        self._grows = reader.target is None and of_objects(reader.wanted.schema)

    def add(self, answer: str | BaseMessage) -> Iterator[Any]:
        """Return what is new after this chunk."""
        message = AIMessageChunk(content=answer) if isinstance(answer, str) else answer
        self._messages.append(message)
        if self._reader.include_raw:
            yield AddableDict(raw=message)
        if not isinstance(message, AIMessageChunk):
            return
        self._text.append(str(message.text))
        self._arguments += [call["args"] or "" for call in message.tool_call_chunks if not call["index"]]
        if not self._grows:
            return  # for a class, a partial value may be valid but wrong: `{"age": 3` before the 6 of 36
        value = self._partial("".join(self._arguments or self._text))
        if value is not None and value != self._last:
            self._last = value
            yield AddableDict(parsed=value) if self._reader.include_raw else value

    def end(self) -> Iterator[Any]:
        """Return the complete value, unless it was already yielded. Raise if it does not match the schema."""
        if not self._messages:
            return
        first, *rest = self._messages
        whole = first + rest if isinstance(first, AIMessageChunk) and rest else first
        if self._reader.include_raw:
            said = self._reader.with_raw(whole)
            del said["raw"]  # already yielded in parts
            yield said
        elif (value := self._reader.value_of(whole)) != self._last:
            yield value

    def _partial(self, text: str) -> Any:
        start = text.find("{")
        if start < 0 or too_deep(text):
            return None
        try:
            value = parse_partial_json(text[start:])
        except ValueError:
            return None
        return value if isinstance(value, dict) else None


def reader_for(schema: Schema | None, wanted: StructuredOutput, *, include_raw: bool) -> StructuredReader:
    """Return the parser of the schema's value."""
    target = schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None
    return StructuredReader(wanted=wanted, target=target, include_raw=include_raw)
