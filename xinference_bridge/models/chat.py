"""The handle of a chat model: answers, streams and token counts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from typing import Any

from xinference_bridge.client.client import Client
from xinference_bridge.client.flow import Flow
from xinference_bridge.client.streaming import OpenedAnswer
from xinference_bridge.client.transport.call import Budget
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions
from xinference_bridge.errors import XinferenceServerError
from xinference_bridge.models.base import ModelHandle, naming_request
from xinference_bridge.protocol.chat import context_length
from xinference_bridge.protocol.chat.accumulator import ChatAccumulator, chat_result_from_wire
from xinference_bridge.protocol.chat.answer_stream import AnswerStream
from xinference_bridge.protocol.chat.plan import ChatPlan, needs_description, plan_chat
from xinference_bridge.protocol.chat.reading import depends_on_model, family_of
from xinference_bridge.protocol.chat.request import ChatCall, prompt_bytes, without_media
from xinference_bridge.protocol.chat.result import ChatDelta, ChatResult
from xinference_bridge.protocol.chat.token_count import count_tokens_request, token_count_from_response
from xinference_bridge.protocol.shape_errors import json_answer


class ChatHandle(ModelHandle):
    """One running chat model."""

    __slots__ = ()

    def chat(self, call: ChatCall, options: CallOptions = DEFAULT_OPTIONS) -> ChatResult:
        """Return the complete answer.

        Args:
            call: The messages, tools and parameters.
            options: Options that override the connection's settings.

        Returns:
            Text, reasoning, tool calls and token usage.

        Raises:
            XinferenceContextOverflowError: The prompt is longer than the model's context.
            XinferenceUnsupportedError: The model or its engine does not support the request.
            XinferenceError: The call failed for another reason.
        """
        return self._run(options, lambda found, budget: found.chat_flow(call, budget))

    async def achat(self, call: ChatCall, options: CallOptions = DEFAULT_OPTIONS) -> ChatResult:
        """Async version of `chat`."""
        return await self._arun(options, lambda found, budget: found.chat_flow(call, budget))

    def stream_chat(
        self, call: ChatCall, options: CallOptions = DEFAULT_OPTIONS, *, stream_usage: bool = True
    ) -> Generator[ChatDelta, None, None]:
        """Yield the answer as it arrives.

        Args:
            call: The messages, tools and parameters.
            options: Options that override the connection's settings.
            stream_usage: Whether to ask for token usage.

        Yields:
            The content of each chunk. The last delta has the complete answer as `final`.

        Raises:
            XinferenceStreamError: The stream broke off after it started; `partial_text` has the text so far.
            XinferenceError: The call failed for another reason, as in `chat`.
        """
        return self._client.stream(
            self._within(options, lambda found, budget: found.opening_flow(call, budget, stream_usage=stream_usage))
        )

    def astream_chat(
        self, call: ChatCall, options: CallOptions = DEFAULT_OPTIONS, *, stream_usage: bool = True
    ) -> AsyncGenerator[ChatDelta, None]:
        """Async version of `stream_chat`."""
        return self._client.astream(
            self._within(options, lambda found, budget: found.opening_flow(call, budget, stream_usage=stream_usage))
        )

    def count_tokens(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] = (), options: CallOptions = DEFAULT_OPTIONS
    ) -> int:
        """Return the number of prompt tokens, counted by the server.

        Raises:
            XinferenceUnsupportedError: The model's engine does not count tokens.
        """
        return self._run(options, lambda found, budget: found.count_flow(messages, tools, budget))

    async def acount_tokens(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] = (), options: CallOptions = DEFAULT_OPTIONS
    ) -> int:
        """Async version of `count_tokens`."""
        return await self._arun(options, lambda found, budget: found.count_flow(messages, tools, budget))

    def chat_flow(self, call: ChatCall, budget: Budget) -> Flow[ChatResult]:
        """Return the flow of `chat`."""
        client = self._client
        plan = yield from self._plan(client, call, budget, stream=False)
        try:
            response = yield from client.requests.send(plan.request, budget)
        except XinferenceServerError as error:
            raise_explained(error, call, plan)
            raise
        with naming_request(response, self.uid):
            body = json_answer(response)
        model = plan.model
        if model is None and depends_on_model(body, tools=plan.reads_tools):
            model = yield from self._description_if_allowed(client, budget)
        with naming_request(response, self.uid):
            result = chat_result_from_wire(body, tools=plan.tools, start=plan.starts(model), family=family_of(model))
            result.request_id = response.request_id
            result.headers = response.headers
            plan.read(result)
            plan.check(result)
            return result

    def opening_flow(self, call: ChatCall, budget: Budget, *, stream_usage: bool = True) -> Flow[OpenedAnswer]:
        """Return the flow that opens the stream of `stream_chat`."""
        client = self._client
        plan = yield from self._plan(client, call, budget, stream=True, stream_usage=stream_usage)
        try:
            opened = yield from client.requests.open_stream(plan.request, budget)
        except XinferenceServerError as error:
            raise_explained(error, call, plan)
            raise
        reader = ChatAccumulator(tools=plan.tools, start=plan.start, family=family_of(plan.model))
        answer = plan.reading(reader)
        return OpenedAnswer(opened, AnswerStream(opened.events, answer, plan.check))

    def _plan(
        self, client: Client, call: ChatCall, budget: Budget, *, stream: bool, stream_usage: bool = True
    ) -> Flow[ChatPlan]:
        size = prompt_bytes(call)
        model = client.running.known(self.uid)
        if model is None and (size > context_length.SHORT_BYTES or needs_description(call, stream=stream)):
            # None if the key may chat but not read the description: nothing is assumed about the engine
            model = yield from self._description_if_allowed(client, budget)
        if model is not None and context_length.must_count(call, model, size):
            context_length.refuse_overflow(call, model, (yield from self._prompt_tokens(call, budget)))
        return plan_chat(self.uid, call, model, stream=stream, stream_usage=stream_usage)

    def _prompt_tokens(self, call: ChatCall, budget: Budget) -> Flow[int | None]:
        """Return the token count of the call's text, without images; None if the server does not count."""
        try:
            return (yield from self.count_flow(without_media(call.messages), call.tools, budget))
        except context_length.NOT_COUNTED:
            return None

    def count_flow(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any], budget: Budget) -> Flow[int]:
        """Return the flow of `count_tokens`."""
        response = yield from self._client.requests.send(count_tokens_request(self.uid, messages, tools), budget)
        with naming_request(response, self.uid):
            return token_count_from_response(response)


def raise_explained(error: XinferenceServerError, call: ChatCall, plan: ChatPlan) -> None:
    """Raise what a failure without a reason means for so long a prompt, or for one with media, if it means that.

    The description is the one from before the failure, because a failure makes the client discard it.
    """
    better = context_length.explained_by_size(error, call, plan.model)
    if better is not error:
        raise better from error
    if without_media(call.messages) is not call.messages and _WITHOUT_REASON in error.message:
        error.with_note(
            "The messages hold media: the server says no more than this (4.1.0) for an image, a recording or a video "
            "that cannot be decoded or downloaded."
        )


#: What 4.1.0 says of whatever fails at inference.
_WITHOUT_REASON = "Check the server logs"
