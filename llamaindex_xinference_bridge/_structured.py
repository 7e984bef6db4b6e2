"""Structured prediction: enforced by the engine if possible, always checked."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.bridge.pydantic import BaseModel, ValidationError
from llama_index.core.instrumentation.events.llm import LLMStructuredPredictEndEvent, LLMStructuredPredictStartEvent
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.program.utils import FlexibleModel, process_streaming_objects
from llama_index.core.prompts import BasePromptTemplate, PromptTemplate
from llama_index.core.types import Model, PydanticProgramMode
from llama_index_instrumentation import get_dispatcher

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.protocol.chat.request import StructuredOutput
from xinference_bridge.protocol.chat.structured_output import json_of_answer, not_structured, what_was_said

dispatcher = get_dispatcher(__name__)


class StructuredPrediction(FunctionCallingLLM):
    """`structured_predict` and its variants, with the method that the engine enforces. `as_structured_llm` uses them.

    Each raises XinferenceUnsupportedError if the answer is not a valid `output_cls`.
    With a `pydantic_program_mode` other than DEFAULT, llama-index-core's own method is used.
    """

    @dispatcher.span
    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Send a prompt and return the answer as an object.

        Args:
            output_cls: The pydantic class of the object.
            prompt: The prompt template.
            llm_kwargs: Parameters of this call, such as `temperature`.
            **prompt_args: Values for the template's fields.

        Returns:
            A valid object of `output_cls`.

        Raises:
            XinferenceUnsupportedError: The answer is not a valid `output_cls`.
            XinferenceError: The request failed.
        """
        if self._leaves_the_way():
            found: Model = super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
            return found
        _tell_start(output_cls, prompt, prompt_args)
        wanted = structured_output(output_cls)
        messages = self._prompted(prompt, prompt_args)
        response = self.chat(messages, **(llm_kwargs or {}), structured_output=wanted)
        output: Model = object_from_response(response, output_cls, wanted)
        dispatcher.event(LLMStructuredPredictEndEvent(output=output))
        return output

    @dispatcher.span
    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Async version of `structured_predict`."""
        if self._leaves_the_way():
            found: Model = await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
            return found
        _tell_start(output_cls, prompt, prompt_args)
        wanted = structured_output(output_cls)
        messages = self._prompted(prompt, prompt_args)
        response = await self.achat(messages, **(llm_kwargs or {}), structured_output=wanted)
        output: Model = object_from_response(response, output_cls, wanted)
        dispatcher.event(LLMStructuredPredictEndEvent(output=output))
        return output

    # llama-index-core's `stream_structured_predict` and `astream_structured_predict` call these and report the events.

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Model | list[Model] | FlexibleModel | list[FlexibleModel], None, None]:
        """Yield partial objects, and finally the complete, valid one."""
        if self._leaves_the_way():
            return super()._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        messages = self._prompted(prompt, prompt_args)
        return self._objects_as_they_grow(output_cls, messages, llm_kwargs or {})

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Model | list[Model] | FlexibleModel | list[FlexibleModel], None]:
        """Async version of `_structured_stream_call`."""
        if self._leaves_the_way():
            return await super()._structured_astream_call(output_cls, prompt, llm_kwargs, **prompt_args)
        messages = self._prompted(prompt, prompt_args)
        return self._aobjects_as_they_grow(output_cls, messages, llm_kwargs or {})

    def _objects_as_they_grow(
        self, output_cls: type[Model], messages: list[ChatMessage], keywords: dict[str, Any]
    ) -> Generator[Model | list[Model] | FlexibleModel | list[FlexibleModel], None, None]:
        growing = _GrowingObject(self, output_cls)
        for response in self.stream_chat(messages, **keywords, structured_output=growing.wanted):
            if (partial := growing.take(response)) is not None:
                yield partial
        yield growing.whole()

    async def _aobjects_as_they_grow(
        self, output_cls: type[Model], messages: list[ChatMessage], keywords: dict[str, Any]
    ) -> AsyncGenerator[Model | list[Model] | FlexibleModel | list[FlexibleModel], None]:
        growing = _GrowingObject(self, output_cls)
        async for response in await self.astream_chat(messages, **keywords, structured_output=growing.wanted):
            if (partial := growing.take(response)) is not None:
                yield partial
        yield growing.whole()

    def _leaves_the_way(self) -> bool:
        return self.pydantic_program_mode is not PydanticProgramMode.DEFAULT

    def _prompted(self, prompt: BasePromptTemplate, prompt_args: dict[str, Any]) -> list[ChatMessage]:
        return self._extend_messages(prompt.format_messages(llm=self, **prompt_args))


class _GrowingObject:
    """Converts responses to partial objects, like llama-index-core's programs."""

    def __init__(self, llm: FunctionCallingLLM, output_cls: type[Any]) -> None:
        self.wanted = structured_output(output_cls)
        self._llm = llm
        self._output_cls = output_cls
        self._known: list[Any] | None = None
        self._last: ChatResponse | None = None

    def take(self, response: ChatResponse) -> Any:
        """Return the object so far; None if this response added nothing."""
        self._last = response
        if not response.delta and not response.message.additional_kwargs.get("tool_calls"):
            return None
        partial = process_streaming_objects(response, self._output_cls, cur_objects=self._known, llm=self._llm)
        self._known = [partial]
        return partial

    def whole(self) -> Any:
        """Return the valid object of the complete answer."""
        if self._last is None:
            raise not_structured("", self.wanted, "the stream was empty")
        return object_from_response(self._last, self._output_cls, self.wanted)


def structured_output(output_cls: Any) -> StructuredOutput:
    """Return the schema for the core. Raise XinferenceConfigurationError if it is no pydantic class."""
    if not isinstance(output_cls, type) or not issubclass(output_cls, BaseModel):
        shown = getattr(output_cls, "__name__", type(output_cls).__name__)
        raise XinferenceConfigurationError(f"output_cls must be a pydantic class, got {shown}")
    schema = output_cls.model_json_schema()
    # The title of a generic class has brackets, which no server accepts in a name.
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", schema.get("title", output_cls.__name__))
    return StructuredOutput(name=name, schema=schema, description=schema.get("description", ""))


def object_from_response(response: ChatResponse, output_cls: type[Model], wanted: StructuredOutput) -> Model:
    """Return the valid object in a complete answer. Raise XinferenceUnsupportedError with the mismatch."""
    message = response.message
    text = message.content or ""
    calls = [
        (call["function"]["name"], call["function"]["arguments"])
        for call in message.additional_kwargs.get("tool_calls") or ()
    ]
    found = json_of_answer(text, calls, wanted)
    try:
        return output_cls.model_validate_json(found)
    except ValidationError as invalid:
        why = "; ".join(f"{'.'.join(map(str, error['loc'])) or 'it'}: {error['msg']}" for error in invalid.errors())
        reason = response.additional_kwargs.get("finish_reason")
        raise not_structured(what_was_said(text, calls), wanted, why, reason) from invalid


def _tell_start(output_cls: type[BaseModel], prompt: BasePromptTemplate, prompt_args: dict[str, Any]) -> None:
    dispatcher.event(LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=prompt_args))
