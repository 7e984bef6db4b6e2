"""`XinferenceLLM`: the text completion model for LangChain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from functools import partial
from typing import Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseLLM, LangSmithParams, LanguageModelInput
from langchain_core.outputs import Generation, GenerationChunk, LLMResult
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.runnables import Runnable
from pydantic import Field, SecretStr
from typing_extensions import Unpack, override

from langchain_xinference_bridge._base import XinferenceFields, taken_uid
from langchain_xinference_bridge._constructor_kwargs import LLMSettings
from langchain_xinference_bridge._content import refuse_media
from langchain_xinference_bridge._messages import metadata_from_wire
from langchain_xinference_bridge._token_counting import TokenCounting
from langchain_xinference_bridge.errors import translated_errors
from xinference_bridge.connection_settings import CallOptions
from xinference_bridge.integration.parameters import CHAT, COMPLETION, check_values, merged, options_from
from xinference_bridge.integration.sampling_fields import SamplingFields
from xinference_bridge.models.completion import CompletionHandle
from xinference_bridge.models.daemon_pool import results_of
from xinference_bridge.protocol.chat.result import ChatDelta
from xinference_bridge.protocol.chat.result import ChatResult as Answer
from xinference_bridge.protocol.http import JSON

_KNOWN = COMPLETION | CHAT


class XinferenceLLM(XinferenceFields, SamplingFields, TokenCounting, BaseLLM):
    """A text completion model that runs on a Xinference server.

    If the engine serves a chat model only through chat, the prompt is sent as a user message, so that older
    chains work there too. Set a parameter here, with `bind` or per call.

    Raises:
        XinferenceConfigurationError: `model_uid` is missing, or a setting is misspelled or invalid.

    Examples:
        >>> llm = XinferenceLLM(model="tiny-chat-hf", temperature=0)
        >>> llm.invoke("Name three colors.")
        'Red, green and blue.'
        >>> llm.batch(["What is 2 + 2?", "What is the capital of France?"])
        ['2 + 2 is 4.', 'The capital of France is Paris.']
    """

    max_concurrency: int = Field(default=8, ge=1)
    """Maximum number of concurrent requests in one `batch` or `generate`."""

    _known_to_server: ClassVar[frozenset[str]] = _KNOWN

    def __init__(
        self,
        server_url: str | None = None,
        model_uid: str | None = None,
        api_key: SecretStr | str | None = None,
        **settings: Unpack[LLMSettings],
    ) -> None:
        super().__init__(server_url, model_uid, api_key, **settings)

    @override
    def bind(self, **kwargs: Any) -> Runnable[LanguageModelInput, str]:
        """Return this model with default parameters for its calls.

        Args:
            **kwargs: Parameters by name, such as `temperature` or `timeout`.

        Raises:
            XinferenceConfigurationError: A value is invalid.

        Examples:
            >>> XinferenceLLM(model="tiny-chat-hf").bind(temperature=0).invoke("Name three colors.")
            'Red, green and blue.'
        """
        with translated_errors:
            check_values(kwargs, type(self).__name__)
        return super().bind(**kwargs)

    @override
    def _convert_input(self, model_input: LanguageModelInput) -> PromptValue:
        prompt = super()._convert_input(model_input)
        if isinstance(prompt, ChatPromptValue):
            with translated_errors:
                refuse_media(prompt.messages)
        return prompt

    def _prepared(
        self, stop: list[str] | None, keywords: dict[str, Any]
    ) -> tuple[CompletionHandle, dict[str, Any], CallOptions]:
        own = dict(keywords)
        own.pop("stream", None)
        options = options_from(own, type(self).__name__)
        served = self._handle(CompletionHandle, taken_uid(own, self.model_uid))
        return served, merged(_KNOWN, self.stated_parameters(), {"stop": stop}, own, where=type(self).__name__), options

    @override
    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        with translated_errors:
            served, parameters, options = self._prepared(stop, kwargs)
            if len(prompts) == 1:
                return _result([served.complete(prompts[0], parameters, options)], served.uid)
            asked: list[Callable[[], Answer]] = [
                partial(served.complete, prompt, parameters, options) for prompt in prompts
            ]
            return _result(results_of(asked, self.max_concurrency, "xinference-llm"), served.uid)

    @override
    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        with translated_errors:
            served, parameters, options = self._prepared(stop, kwargs)
            turn = asyncio.Semaphore(self.max_concurrency)

            async def answer(prompt: str) -> Answer:
                async with turn:
                    return await served.acomplete(prompt, parameters, options)

            asked = [asyncio.ensure_future(answer(prompt)) for prompt in prompts]
            try:
                return _result(await asyncio.gather(*asked), served.uid)
            finally:
                for future in asked:
                    future.cancel()
                # Awaited, so that a task that failed meanwhile does not cause "exception was never retrieved".
                await asyncio.gather(*asked, return_exceptions=True)

    @override
    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        with translated_errors:
            served, parameters, options = self._prepared(stop, kwargs)
            with closing(served.stream_complete(prompt, parameters, options)) as deltas:
                for delta in deltas:
                    for chunk in _chunks(delta, served.uid):
                        # Subclasses of BaseLLM must report chunks to the callbacks; BaseChatModel does it itself.
                        if run_manager is not None:
                            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk

    @override
    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        with translated_errors:
            served, parameters, options = self._prepared(stop, kwargs)
            async with aclosing(served.astream_complete(prompt, parameters, options)) as deltas:
                async for delta in deltas:
                    for chunk in _chunks(delta, served.uid):
                        if run_manager is not None:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk

    @property
    @override
    def _llm_type(self) -> str:
        return "xinference"

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
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "xinference"
        params["ls_model_name"] = kwargs.get("model") or kwargs.get("model_uid") or self.model_uid
        return params


class Xinference(XinferenceLLM):
    """XinferenceLLM under the older packages' name: an unknown keyword is sent to the server, with a warning.

    Examples:
        >>> llm = Xinference(model_uid="tiny-chat-hf")
        >>> llm.invoke("Name three colors.", generate_config={"temperature": 0})
        'Red, green and blue.'
    """

    _unknown_is_sent: ClassVar[bool] = True

    def __init__(
        self,
        server_url: str | None = None,
        model_uid: str | None = None,
        api_key: SecretStr | str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(server_url, model_uid, api_key, **settings)


def _result(answers: list[Answer], uid: str) -> LLMResult:
    generations = [[Generation(text=answer.text, generation_info=_info(answer, uid))] for answer in answers]
    return LLMResult(generations=generations, llm_output={"token_usage": _usage(answers), "model_name": uid})


def _usage(answers: list[Answer]) -> dict[str, int]:
    """Return the tokens of all prompts together; an empty dict if the server did not count them."""
    counted = [answer.usage for answer in answers if answer.usage is not None]
    if not counted:
        return {}
    return {
        "prompt_tokens": sum(usage.prompt_tokens for usage in counted),
        "completion_tokens": sum(usage.completion_tokens for usage in counted),
        "total_tokens": sum(usage.total_tokens for usage in counted),
    }


def _info(answer: Answer, uid: str) -> JSON:
    info = metadata_from_wire(answer, uid)
    if answer.reasoning:
        info["reasoning_content"] = answer.reasoning
    return info


def _chunks(delta: ChatDelta, uid: str) -> Iterator[GenerationChunk]:
    """Return the chunk for a delta. The last one has the metadata, such as the token usage."""
    if delta.text or delta.logprobs:
        info = {"logprobs": {"content": delta.logprobs}} if delta.logprobs else None
        yield GenerationChunk(text=delta.text, generation_info=info)
    if delta.final is not None:
        info = _info(delta.final, uid)
        info.pop("logprobs", None)
        usage = _usage([delta.final])
        yield GenerationChunk(text="", generation_info={**info, "token_usage": usage} if usage else info)
