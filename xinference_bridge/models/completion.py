"""The handle of a language model that completes a prompt."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any

from xinference_bridge.client.client import Client
from xinference_bridge.client.flow import Flow
from xinference_bridge.client.streaming import OpenedAnswer
from xinference_bridge.client.transport.call import Budget
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions
from xinference_bridge.models.base import ModelHandle, naming_request
from xinference_bridge.models.chat import ChatHandle
from xinference_bridge.protocol.chat.accumulator import ChatAccumulator
from xinference_bridge.protocol.chat.answer_stream import AnswerStream
from xinference_bridge.protocol.chat.request import ChatCall
from xinference_bridge.protocol.chat.result import ChatDelta, ChatResult
from xinference_bridge.protocol.completion import completion_request, completion_result_from_wire
from xinference_bridge.protocol.engines import engine_named
from xinference_bridge.protocol.http import JSON
from xinference_bridge.protocol.model_info import ModelInfo
from xinference_bridge.protocol.shape_errors import json_answer


class CompletionHandle(ModelHandle):
    """One running language model. If its engine supports only chat, the prompt is sent as a chat message."""

    __slots__ = ()

    def complete(
        self, prompt: str, parameters: Mapping[str, Any], options: CallOptions = DEFAULT_OPTIONS
    ) -> ChatResult:
        """Return the completion of the prompt.

        Args:
            prompt: The text to complete.
            parameters: Parameters by their wire names. An absent one has the server's default.
            options: Options that override the connection's settings.

        Returns:
            The text and the token usage.

        Raises:
            XinferenceError: The call failed.
        """
        return self._run(options, lambda found, budget: found.complete_flow(prompt, parameters, budget))

    async def acomplete(
        self, prompt: str, parameters: Mapping[str, Any], options: CallOptions = DEFAULT_OPTIONS
    ) -> ChatResult:
        """Async version of `complete`."""
        return await self._arun(options, lambda found, budget: found.complete_flow(prompt, parameters, budget))

    def stream_complete(
        self, prompt: str, parameters: Mapping[str, Any], options: CallOptions = DEFAULT_OPTIONS
    ) -> Generator[ChatDelta, None, None]:
        """Yield the completion as it arrives. The last delta has the complete one as `final`.

        Raises:
            XinferenceStreamError: The stream broke off after it started; `partial_text` has the text so far.
            XinferenceError: The call failed for another reason.
        """
        return self._client.stream(
            self._within(options, lambda found, budget: found.opening_flow(prompt, parameters, budget))
        )

    def astream_complete(
        self, prompt: str, parameters: Mapping[str, Any], options: CallOptions = DEFAULT_OPTIONS
    ) -> AsyncGenerator[ChatDelta, None]:
        """Async version of `stream_complete`."""
        return self._client.astream(
            self._within(options, lambda found, budget: found.opening_flow(prompt, parameters, budget))
        )

    def complete_flow(self, prompt: str, parameters: Mapping[str, Any], budget: Budget) -> Flow[ChatResult]:
        """Return the flow of `complete`."""
        client = self._client
        if (yield from self._only_chats(client, budget)):
            return (yield from self._as_chat_model().chat_flow(_as_chat(prompt, parameters), budget))
        response = yield from client.requests.send(completion_request(self.uid, prompt, parameters), budget)
        with naming_request(response, self.uid):
            result = completion_result_from_wire(json_answer(response))
            result.request_id = response.request_id
            return result

    def opening_flow(self, prompt: str, parameters: Mapping[str, Any], budget: Budget) -> Flow[OpenedAnswer]:
        """Return the flow that opens the stream of `stream_complete`."""
        client = self._client
        if (yield from self._only_chats(client, budget)):
            return (yield from self._as_chat_model().opening_flow(_as_chat(prompt, parameters), budget))
        request = completion_request(self.uid, prompt, _streamed(parameters))
        opened = yield from client.requests.open_stream(request, budget)
        return OpenedAnswer(opened, AnswerStream(opened.events, ChatAccumulator(tools=False, completion=True)))

    def _only_chats(self, client: Client, budget: Budget) -> Flow[bool]:
        """Return whether completions use the chat endpoint. Such a model still has the ability "generate"."""
        model: ModelInfo | None = yield from self._description_if_allowed(client, budget)
        if model is None or not model.can("chat"):
            return False
        return not model.can("generate") or not engine_named(model.engine).completes_chat_models

    def _as_chat_model(self) -> ChatHandle:
        return ChatHandle(self.connection, self.uid)


def _as_chat(prompt: str, parameters: Mapping[str, Any]) -> ChatCall:
    wanted = parameters.get("logprobs")
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        # An int on /v1/completions; on the chat endpoint a bool, with the int as `top_logprobs`.
        parameters = {**parameters, "logprobs": True, "top_logprobs": wanted}
    return ChatCall([{"role": "user", "content": prompt}], parameters)


def _streamed(parameters: Mapping[str, Any]) -> JSON:
    return {"stream_options": {"include_usage": True}, **parameters, "stream": True}
