"""`ChatXinference`: the chat model for LangChain and LangGraph."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import asdict, is_dataclass
from typing import Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import SecretStr
from typing_extensions import Self, Unpack, override

from langchain_xinference_bridge._base import XinferenceFields
from langchain_xinference_bridge._chat_request import PreparedCall, prepared
from langchain_xinference_bridge._chunks import ChunkWriter
from langchain_xinference_bridge._constructor_kwargs import ChatSettings
from langchain_xinference_bridge._messages import combined_llm_outputs, result_from_wire
from langchain_xinference_bridge._structured import STRUCTURED, Schema, reader_for, wanted_from_schema
from langchain_xinference_bridge._token_counting import TokenCounting
from langchain_xinference_bridge._tools import choice_to_wire, tools_to_wire
from langchain_xinference_bridge.errors import translated_errors
from langchain_xinference_bridge.profile import LazyProfile
from xinference_bridge.integration.inline_media import InlineMedia
from xinference_bridge.integration.parameters import CHAT, check_values
from xinference_bridge.integration.sampling_fields import SamplingFields
from xinference_bridge.models.base import ModelHandle
from xinference_bridge.models.chat import ChatHandle
from xinference_bridge.protocol.chat.request import StructuredMethod
from xinference_bridge.protocol.chat.result import ChatResult as WireResult


class ChatXinference(XinferenceFields, SamplingFields, TokenCounting, BaseChatModel):
    """A chat model that runs on a Xinference server.

    Set a parameter here, with `bind` or per call; the call takes precedence. A parameter that you leave out is not
    sent, so the server's default applies. To send other parameters, use `model_kwargs`, `extra_body` or, per
    call, `generate_config`.

    Raises:
        XinferenceConfigurationError: `model_uid` is missing, or a setting is misspelled or invalid.

    Examples:
        >>> chat = ChatXinference(model="tiny-chat", temperature=0)
        >>> chat.invoke("What is the capital of France?").content
        'The capital of France is Paris.'
        >>> "".join(chunk.text for chunk in chat.stream("Name three colors."))
        'Red, green and blue.'
        >>> import asyncio
        >>> asyncio.run(chat.ainvoke("What is 2 + 2?")).usage_metadata["output_tokens"] > 0
        True

        A reasoning model returns its reasoning separately from the answer:

        >>> answer = ChatXinference(model="tiny-think", temperature=0).invoke("What is 2 + 2?")
        >>> [block["type"] for block in answer.content_blocks]
        ['reasoning', 'text']
    """

    streaming: bool | None = None
    """Whether `invoke` streams internally. None: only if a callback needs the tokens."""
    stream_usage: bool = True
    """Whether the last chunk of a stream includes the token usage."""
    include_response_headers: bool = False
    """Whether `response_metadata["headers"]` has the headers of the HTTP response."""
    context_length: int | None = None
    """Maximum tokens of one request. None: from the server's description; llama.cpp may allow fewer."""
    inline_media: InlineMedia = None
    """Which files and private URLs in messages are read here and sent as data URLs, since the server does not fetch
    them: True all of them, or a list of folders and URL prefixes. None or False: such a block is an error. Leave it off
    where messages come from people you do not trust."""

    _known_to_server: ClassVar[frozenset[str]] = CHAT
    _unknown_is_sent: ClassVar[bool] = True

    def __init__(
        self,
        server_url: str | None = None,
        model_uid: str | None = None,
        api_key: SecretStr | str | None = None,
        **settings: Unpack[ChatSettings],
    ) -> None:
        if isinstance(settings.get("profile"), LazyProfile):
            # configurable_fields builds a model from all fields of another one, including a profile that may not apply.
            del settings["profile"]
        super().__init__(server_url, model_uid, api_key, **settings)
        self._look_lazily()

    def _look_lazily(self) -> None:
        """Give this model its own lazy profile, unless one was passed."""
        if self.profile is None or isinstance(self.profile, LazyProfile):
            self.profile = LazyProfile(self)  # type: ignore[assignment] # a Mapping with ModelProfile's keys

    @override
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed and its own profile.

        Args:
            update: New values by field name, not validated.
            deep: Whether to copy the field values too.

        Returns:
            The copy. This model does not change.

        Examples:
            >>> ChatXinference(model="a").model_copy(update={"model_uid": "b"}).model_uid
            'b'
        """
        copied = super().model_copy(update=update, deep=deep)
        copied._look_lazily()  # noqa: SLF001 - the same class
        return copied

    async def aprepare(self) -> None:
        """Fetch the model's description, so that reading `profile` later does not block the event loop.

        Raises:
            XinferenceModelNotFoundError: No such model runs.
            XinferenceConnectionError: The server cannot be reached.

        Examples:
            >>> import asyncio
            >>> chat = ChatXinference(model="tiny-chat")
            >>> asyncio.run(chat.aprepare())
            >>> chat.profile["max_input_tokens"]
            4096
        """
        with translated_errors:
            await self._handle(ModelHandle).adescribe()

    # Answers

    def _prepared(self, messages: list[BaseMessage], stop: list[str] | None, keywords: dict[str, Any]) -> PreparedCall:
        return prepared(
            messages,
            uid=self.model_uid,
            stated=self.stated_parameters(),
            stop=stop,
            keywords=keywords,
            stream_usage=self.stream_usage,
            context_length=self.context_length,
        )

    def _result(self, answer: WireResult, uid: str) -> ChatResult:
        blocks = self.output_version == "v1"
        return result_from_wire(answer, uid, blocks=blocks, headers=self.include_response_headers)

    def _writer(self, asked: PreparedCall) -> ChunkWriter:
        blocks = self.output_version == "v1"
        return ChunkWriter(asked.uid, blocks=blocks, usage=asked.stream_usage, headers=self.include_response_headers)

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with translated_errors:
            asked = self._prepared(messages, stop, kwargs).with_inlined_media(self.inline_media)
            answer = self._handle(ChatHandle, asked.uid).chat(asked.call, asked.options)
        return self._result(answer, asked.uid)

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with translated_errors:
            asked = await self._prepared(messages, stop, kwargs).awith_inlined_media(self.inline_media)
            answer = await self._handle(ChatHandle, asked.uid).achat(asked.call, asked.options)
        return self._result(answer, asked.uid)

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        # LangChain reports each chunk to its callbacks; reporting them here too would do it twice.
        with translated_errors:
            asked = self._prepared(messages, stop, kwargs).with_inlined_media(self.inline_media)
            writer = self._writer(asked)
            deltas = self._handle(ChatHandle, asked.uid).stream_chat(
                asked.call, asked.options, stream_usage=asked.stream_usage
            )
            with closing(deltas):
                for delta in deltas:
                    yield from writer.chunks(delta)

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with translated_errors:
            asked = await self._prepared(messages, stop, kwargs).awith_inlined_media(self.inline_media)
            writer = self._writer(asked)
            deltas = self._handle(ChatHandle, asked.uid).astream_chat(
                asked.call, asked.options, stream_usage=asked.stream_usage
            )
            async with aclosing(deltas):
                async for delta in deltas:
                    for chunk in writer.chunks(delta):
                        yield chunk

    # Tools and structured output

    @override
    def bind(self, **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:  # type: ignore[override] # its class is private
        """Return this model with default parameters for its calls.

        Args:
            **kwargs: Parameters by name, such as `temperature` or `timeout`.

        Raises:
            XinferenceConfigurationError: A value is invalid.

        Examples:
            >>> ChatXinference(model="tiny-chat").bind(temperature=0).invoke("Hello").content
            'Hello! How can I help you today?'
        """
        with translated_errors:
            check_values(kwargs, type(self).__name__)
        return super().bind(**kwargs)

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return this model with tools that it can call.

        How a forced choice is enforced depends on the engine, which is checked at call time. An answer
        without the forced call raises XinferenceUnsupportedError.

        Args:
            tools: Functions, pydantic classes, TypedDicts, `BaseTool` objects or OpenAI's dicts.
            tool_choice: "auto", "none", "any" (or "required", or True: at least one call), a tool's name,
                or OpenAI's dict. None: the server's default.
            strict: Sent as `strict` with each tool's schema. None leaves it out.
            parallel_tool_calls: Whether one answer may have several calls. None: the server's default.
            **kwargs: Parameters for each call of the bound model, such as `temperature`.

        Returns:
            A runnable that returns an `AIMessage` with the calls in `tool_calls`.

        Raises:
            XinferenceConfigurationError: `tool_choice` is not in `tools`.

        Examples:
            >>> def get_weather(city: str) -> str:
            ...     "Get the weather for a city."
            ...     return "It's sunny."
            >>> chat = ChatXinference(model="tiny-chat", temperature=0).bind_tools([get_weather])
            >>> [call["args"] for call in chat.invoke("What is the weather in Paris?").tool_calls]
            [{'city': 'Paris'}]
        """
        with translated_errors:
            wire = tools_to_wire(tools, strict=strict)
            choice = choice_to_wire(tool_choice, wire)
        if choice is not None:
            kwargs["tool_choice"] = choice
        if parallel_tool_calls is not None:
            kwargs["parallel_tool_calls"] = parallel_tool_calls
        return self.bind(tools=wire, **kwargs)

    @override
    def with_structured_output(
        self,
        schema: Schema | None = None,
        *,
        method: StructuredMethod | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return this model with answers that match a schema.

        An answer that does not match the schema raises XinferenceStructuredOutputError, a subclass of LangChain's
        `OutputParserException`.

        Args:
            schema: A pydantic class, a TypedDict, a JSON schema, or one of OpenAI's dicts.
            method: "json_schema", "function_calling" or "json_mode". None: the method that the engine enforces,
                checked at call time.
            include_raw: Whether to return a dict of `raw`, `parsed` and `parsing_error` instead of raising.
            strict: Sent as `strict` with the schema. None leaves it out.
            **kwargs: Parameters for each call, such as `temperature`.

        Returns:
            A runnable that returns an instance of the pydantic class, or a dict for other schemas.

        Raises:
            XinferenceConfigurationError: `schema` or `method` is invalid.

        Examples:
            >>> from pydantic import BaseModel
            >>> class Person(BaseModel):
            ...     name: str
            ...     age: int
            >>> chat = ChatXinference(model="tiny-chat", temperature=0).with_structured_output(Person)
            >>> chat.invoke("Ada Lovelace was 36 years old.")
            Person(name='Ada Lovelace', age=36)
        """
        with translated_errors:
            wanted = wanted_from_schema(schema, method, strict=strict)
        traced = {"name": wanted.name, "description": wanted.description, "parameters": wanted.schema}
        bound = self.bind(
            **{STRUCTURED: wanted},
            ls_structured_output_format={
                "kwargs": {"method": method or "by engine", "strict": strict},
                "schema": {"type": "function", "function": traced},
            },
            **kwargs,
        )
        return bound | reader_for(schema, wanted, include_raw=include_raw)

    # Tracing

    @property
    @override
    def _llm_type(self) -> str:
        return "xinference-chat"

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model": self.model_uid,
            "model_name": self.model_uid,
            "model_uid": self.model_uid,
            "server_url": self._connection().server_url,
            **self.stated_parameters(),
        }

    @override
    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return combined_llm_outputs(llm_outputs)

    @override
    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        params = super()._get_invocation_params(stop, **kwargs)
        wanted = params.get(STRUCTURED)
        if is_dataclass(wanted) and not isinstance(wanted, type):
            # Callbacks write it down as JSON, where an object would be a string of Python.
            params[STRUCTURED] = asdict(wanted)
        return params

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        named = {**self.stated_parameters(), **kwargs}
        model = kwargs.get("model") or kwargs.get("model_uid") or self.model_uid
        params = LangSmithParams(ls_provider="xinference", ls_model_name=model, ls_model_type="chat")
        temperature, max_tokens, stops = named.get("temperature"), named.get("max_tokens"), stop or named.get("stop")
        if isinstance(temperature, (int, float)):
            params["ls_temperature"] = temperature
        if isinstance(max_tokens, int):
            params["ls_max_tokens"] = max_tokens
        if stops:
            params["ls_stop"] = list(stops) if isinstance(stops, (list, tuple)) else [str(stops)]
        return params
