"""`XinferenceLLM`: the language model for LlamaIndex."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any, ClassVar, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.callbacks import CallbackManager
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW, DEFAULT_NUM_OUTPUTS
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.llm import CompletionToPromptType, MessagesToPromptType
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import BaseOutputParser, PydanticProgramMode, TokenAsyncGen
from typing_extensions import Unpack

from llamaindex_xinference_bridge._arguments import checked, conversation, prompt_text
from llamaindex_xinference_bridge._constructor_kwargs import LLMSettings
from llamaindex_xinference_bridge._rate_limit import RateLimited
from llamaindex_xinference_bridge._requests import (
    awith_inlined_media,
    chat_call,
    completion_call,
    messages_of_text,
    with_inlined_media,
)
from llamaindex_xinference_bridge._responses import (
    GrowingChat,
    GrowingCompletion,
    chat_response,
    completion_response,
)
from llamaindex_xinference_bridge._structured import StructuredPrediction
from llamaindex_xinference_bridge._token_counting import TokenCounting
from llamaindex_xinference_bridge._tool_calling import ToolCalling
from llamaindex_xinference_bridge._tools import wants_one_call
from xinference_bridge.connection_settings import CallOptions
from xinference_bridge.errors import XinferencePermissionError
from xinference_bridge.integration.inline_media import InlineMedia
from xinference_bridge.integration.parameters import RARE
from xinference_bridge.integration.sampling_fields import SamplingFields
from xinference_bridge.models.base import ModelHandle
from xinference_bridge.models.chat import ChatHandle
from xinference_bridge.models.completion import CompletionHandle
from xinference_bridge.protocol.chat.request import ChatCall
from xinference_bridge.protocol.chat.result import ChatDelta, ChatResult
from xinference_bridge.protocol.model_info import ModelInfo

_log = logging.getLogger(__name__)


class XinferenceLLM(TokenCounting, SamplingFields, RateLimited, ToolCalling, StructuredPrediction):
    """A language model that runs on a Xinference server: chat, completion, tools, reasoning, structured output.

    A parameter that you leave out is not sent, so the server's default applies. Set one here or per call, as in
    `llm.chat(messages, temperature=0)`. The context window and abilities are fetched from the server on first use,
    unless they are set here.

    Raises:
        XinferenceConfigurationError: `model_uid` is missing, or a setting is misspelled or invalid.

    Examples:
        ```python
        llm = XinferenceLLM(model_uid="qwen3", connection=conn)  # or endpoint= / base_url= / server_url=, api_key=
        llm.complete("Hello")
        ```
    """

    context_window: int | None = None
    """Maximum tokens of prompt and answer together. None: from the server."""
    is_chat_model: bool | None = None
    """Whether the model accepts messages; if not, they are joined into one prompt. None: from the server."""
    is_function_calling_model: bool | None = None
    """Whether the model supports tools. None: from the server."""
    inline_media: InlineMedia = None
    """Which files and private URLs in messages are read here and sent as data URLs, since the server does not fetch
    them: True all of them, False none, or a list of folders and URL prefixes. None: those that a block names as `path=`
    alone. Give False, or a list, where messages come from people you do not trust."""

    _known_to_server: ClassVar[frozenset[str]] = frozenset(RARE)

    def __init__(  # noqa: PLR0917 - the same order as in `llama-index-llms-xinference`
        self,
        model_uid: str | None = None,
        endpoint: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        callback_manager: CallbackManager | None = None,
        system_prompt: str | None = None,
        messages_to_prompt: Callable[[Sequence[ChatMessage]], str] | None = None,
        completion_to_prompt: Callable[[str], str] | None = None,
        pydantic_program_mode: PydanticProgramMode = PydanticProgramMode.DEFAULT,
        output_parser: BaseOutputParser | None = None,
        **settings: Unpack[LLMSettings],
    ) -> None:
        super().__init__(
            model_uid=model_uid,
            endpoint=endpoint,
            temperature=temperature,
            max_tokens=max_tokens,
            callback_manager=callback_manager,
            system_prompt=system_prompt,
            messages_to_prompt=messages_to_prompt,
            completion_to_prompt=completion_to_prompt,
            pydantic_program_mode=pydantic_program_mode,
            output_parser=output_parser,
            **settings,
        )

    @classmethod
    def class_name(cls) -> str:
        """Return the class name for serialized objects and traces.

        Returns:
            The name of this class.
        """
        return "XinferenceLLM"

    # Metadata

    @property
    def metadata(self) -> LLMMetadata:
        """Context window and abilities, as set here or fetched from the server once.

        The request blocks: in an event loop, await `aprepare` first.

        Raises:
            XinferenceModelNotFoundError: No such model runs.
        """
        return self._metadata(None if self._states_all() else self._handle(ModelHandle).describe())

    async def aprepare(self) -> LLMMetadata:
        """Fetch the model's description, so that reading `metadata` later does not block the event loop.

        llama-index-core's agents read `metadata` inside the event loop; await this before you run one.

        Returns:
            The metadata.

        Raises:
            XinferenceModelNotFoundError: No such model runs.
        """
        return self._metadata(None if self._states_all() else await self._handle(ModelHandle).adescribe())

    def _states_all(self) -> bool:
        return None not in (self.context_window, self.is_chat_model, self.is_function_calling_model)

    def _metadata(self, model: ModelInfo | None) -> LLMMetadata:
        chats = self._chats(model)
        calls = model is not None and chats and model.can("tools")
        window = self.context_window
        if window is None:
            window = model.context_length if model is not None else None
        if window is None:
            window = DEFAULT_CONTEXT_WINDOW
            _log.warning(
                "The server does not report the context window of %r: assuming %d. Set it with context_window=.",
                self.model_uid,
                window,
            )
        return LLMMetadata(
            context_window=window,
            num_output=self.max_tokens if self.max_tokens is not None else DEFAULT_NUM_OUTPUTS,
            is_chat_model=chats,
            is_function_calling_model=calls
            if self.is_function_calling_model is None
            else self.is_function_calling_model,
            model_name=self.model_uid,
        )

    def _chats(self, model: ModelInfo | None) -> bool:
        if self.is_chat_model is not None:
            return self.is_chat_model
        return model is None or model.can("chat")

    def _is_chat(self) -> bool:
        """Return whether calls use the chat endpoint. They do if the credential may not read the description."""
        if self.is_chat_model is not None:
            return self.is_chat_model
        try:
            return self._chats(self._handle(ModelHandle).describe())
        except XinferencePermissionError:
            return True

    async def _ais_chat(self) -> bool:
        if self.is_chat_model is not None:
            return self.is_chat_model
        try:
            return self._chats(await self._handle(ModelHandle).adescribe())
        except XinferencePermissionError:
            return True

    def to_payload(self) -> dict[str, Any]:
        """Return the model's description for events: no request is sent, and no credential is included.

        Returns:
            Class name, UID and the parameters that were set.
        """
        # The default reads `metadata`, which may send a request inside an event loop.
        sampling = {name: value for name, value in self.stated_parameters().items() if name != "model_kwargs"}
        return {"class_name": self.class_name(), "model": self.model_uid, "model_name": self.model_uid, **sampling}

    # Requests: complete or streamed, sync or async

    def _ask(self, asked: Sequence[ChatMessage] | str, kwargs: Mapping[str, Any]) -> ChatResult:
        self._let_pass()
        if not self._is_chat():
            parameters, options = completion_call(self.stated_parameters(), kwargs, self.model_uid)
            return self._handle(CompletionHandle).complete(self._as_prompt(asked), parameters, options)
        call, options = self._call(asked, kwargs)
        return self._handle(ChatHandle).chat(with_inlined_media(call, self.inline_media), options)

    async def _aask(self, asked: Sequence[ChatMessage] | str, kwargs: Mapping[str, Any]) -> ChatResult:
        await self._alet_pass()
        if not await self._ais_chat():
            parameters, options = completion_call(self.stated_parameters(), kwargs, self.model_uid)
            return await self._handle(CompletionHandle).acomplete(self._as_prompt(asked), parameters, options)
        call, options = self._call(asked, kwargs)
        return await self._handle(ChatHandle).achat(await awith_inlined_media(call, self.inline_media), options)

    def _deltas(
        self, asked: Sequence[ChatMessage] | str, kwargs: Mapping[str, Any]
    ) -> Generator[ChatDelta, None, None]:
        self._let_pass()
        if self._is_chat():
            call, options = self._call(asked, kwargs)
            return self._handle(ChatHandle).stream_chat(with_inlined_media(call, self.inline_media), options)
        parameters, options = completion_call(self.stated_parameters(), kwargs, self.model_uid)
        return self._handle(CompletionHandle).stream_complete(self._as_prompt(asked), parameters, options)

    async def _adeltas(
        self, asked: Sequence[ChatMessage] | str, kwargs: Mapping[str, Any]
    ) -> AsyncGenerator[ChatDelta, None]:
        await self._alet_pass()
        if await self._ais_chat():
            call, options = self._call(asked, kwargs)
            return self._handle(ChatHandle).astream_chat(await awith_inlined_media(call, self.inline_media), options)
        parameters, options = completion_call(self.stated_parameters(), kwargs, self.model_uid)
        return self._handle(CompletionHandle).astream_complete(self._as_prompt(asked), parameters, options)

    def _call(self, asked: Sequence[ChatMessage] | str, kwargs: Mapping[str, Any]) -> tuple[ChatCall, CallOptions]:
        return chat_call(_as_messages(asked), self.stated_parameters(), kwargs, self.context_window)

    def _as_prompt(self, asked: Sequence[ChatMessage] | str) -> str:
        if isinstance(asked, str):
            return asked
        # llama-index-core sets both functions if they are not given.
        return cast("MessagesToPromptType", self.messages_to_prompt)(messages_of_text(asked))

    # Chat

    @checked("messages", conversation)
    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Send the messages and return the model's answer.

        Args:
            messages: The conversation.
            **kwargs: Parameters of this call, such as `temperature`, and `timeout`, `deadline`, `max_retries`.

        Returns:
            The answer; token counts are in `additional_kwargs`, tool calls and reasoning in the message's blocks.

        Raises:
            XinferenceContextOverflowError: The prompt does not fit the model's context.
            XinferenceUnsupportedError: The engine cannot do what the call asks for.
            XinferenceError: The request failed.
        """
        return chat_response(self._ask(messages, kwargs), one_call=wants_one_call(kwargs))

    @checked("messages", conversation)
    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Async version of `chat`."""
        return chat_response(await self._aask(messages, kwargs), one_call=wants_one_call(kwargs))

    @checked("messages", conversation)
    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Send the messages and stream the model's answer.

        Args:
            messages: The conversation.
            **kwargs: Parameters of this call, as for `chat`.

        Yields:
            Responses with the answer so far and the new part as `delta`. The last one has the token counts.

        Raises:
            XinferenceStreamError: The stream broke off; `partial_text` has the text so far.
            XinferenceError: The request failed.
        """
        growing = GrowingChat(one_call=wants_one_call(kwargs))
        with closing(self._deltas(messages, kwargs)) as deltas:
            for delta in deltas:
                yield growing.take(delta)

    @checked("messages", conversation)
    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Async version of `stream_chat`: await it, then iterate."""
        growing = GrowingChat(one_call=wants_one_call(kwargs))

        async def responses() -> ChatResponseAsyncGen:
            async with aclosing(await self._adeltas(messages, kwargs)) as deltas:
                async for delta in deltas:
                    yield growing.take(delta)

        return responses()

    # Completion

    @checked("prompt", prompt_text)
    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Send a prompt and return its completion. A chat model gets it as a user message.

        Args:
            prompt: The prompt.
            formatted: Whether the prompt is final, so that `completion_to_prompt` is not applied.
            **kwargs: Parameters of this call, as for `chat`.

        Returns:
            The completion; token counts are in `additional_kwargs`.

        Raises:
            XinferenceError: The request failed.
        """
        return completion_response(self._ask(self._formatted(prompt, formatted), kwargs))

    @checked("prompt", prompt_text)
    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Async version of `complete`."""
        return completion_response(await self._aask(self._formatted(prompt, formatted), kwargs))

    @checked("prompt", prompt_text)
    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Send a prompt and stream its completion.

        Args:
            prompt: The prompt.
            formatted: Whether the prompt is final, so that `completion_to_prompt` is not applied.
            **kwargs: Parameters of this call, as for `chat`.

        Yields:
            Responses with the text so far and the new part as `delta`.

        Raises:
            XinferenceStreamError: The stream broke off; `partial_text` has the text so far.
            XinferenceError: The request failed.
        """
        growing = GrowingCompletion()
        with closing(self._deltas(self._formatted(prompt, formatted), kwargs)) as deltas:
            for delta in deltas:
                yield growing.take(delta)

    @checked("prompt", prompt_text)
    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """Async version of `stream_complete`: await it, then iterate."""
        growing = GrowingCompletion()

        async def responses() -> CompletionResponseAsyncGen:
            async with aclosing(await self._adeltas(self._formatted(prompt, formatted), kwargs)) as deltas:
                async for delta in deltas:
                    yield growing.take(delta)

        return responses()

    def _formatted(self, prompt: str, formatted: bool) -> str:
        return prompt if formatted else cast("CompletionToPromptType", self.completion_to_prompt)(prompt)

    # llama-index-core reads `metadata` in these, inside the event loop

    async def apredict(self, prompt: BasePromptTemplate, **prompt_args: Any) -> str:
        """Async version of `predict`."""
        await self.aprepare()
        return await super().apredict(prompt, **prompt_args)

    async def astream(self, prompt: BasePromptTemplate, **prompt_args: Any) -> TokenAsyncGen:
        """Async version of `stream`: await it, then iterate."""
        await self.aprepare()
        return await super().astream(prompt, **prompt_args)


def _as_messages(asked: Sequence[ChatMessage] | str) -> Sequence[ChatMessage]:
    return [ChatMessage(role=MessageRole.USER, content=asked)] if isinstance(asked, str) else asked
