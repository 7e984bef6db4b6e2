"""The floor: the cost of only the wire and the framework. A bare call inside a model that does nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from llama_index.core.llms import CompletionResponse, CompletionResponseGen, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback


class BareChatModel(BaseChatModel):
    """LangChain's overhead around a bare call."""

    wire: Any
    uid: str

    @property
    def _llm_type(self) -> str:
        return "bare"

    def _body(self, messages: list[BaseMessage], **more: Any) -> dict[str, Any]:
        return {"model": self.uid, "messages": [{"role": "user", "content": one.content} for one in messages], **more}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = self.wire.chat(self._body(messages))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = await self.wire.achat(self._body(messages))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for text in self.wire.stream(self._body(messages, stream=True)):
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for text in self.wire.astream(self._body(messages, stream=True)):
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))


class BareLLM(CustomLLM):
    """LlamaIndex's overhead around a bare call."""

    wire: Any
    uid: str

    @property
    def metadata(self) -> LLMMetadata:
        """Return the metadata that LlamaIndex requires of every model."""
        return LLMMetadata(model_name=self.uid)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Return the answer to one prompt."""
        body = {"model": self.uid, "messages": [{"role": "user", "content": prompt}]}
        return CompletionResponse(text=self.wire.chat(body))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Yield the growing answer. Each response has the whole text so far, as LlamaIndex requires."""

        def grow() -> CompletionResponseGen:
            text = ""
            body = {"model": self.uid, "messages": [{"role": "user", "content": prompt}], "stream": True}
            for piece in self.wire.stream(body):
                text += piece
                yield CompletionResponse(text=text, delta=piece)

        return grow()
