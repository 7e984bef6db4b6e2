"""One model UID under one connection: everything a bridge asks of it. Awaited twins differ by `await`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from xinference_bridge import context_guard, endpoints
from xinference_bridge.chat_plan import ChatCall, ChatPlan, needs_description, plan_chat, without_media
from xinference_bridge.chat_stream import (
    ChatAccumulator,
    ChatDelta,
    ChatResult,
    chat_result_from_wire,
    completion_result_from_wire,
)
from xinference_bridge.engines import engine_named
from xinference_bridge.errors import (
    XinferenceError,
    XinferencePermissionError,
    XinferenceProtocolError,
    XinferenceServerError,
    XinferenceStreamError,
)
from xinference_bridge.wire import DEFAULT_OPTIONS, CallOptions, Embeddings, Request, RerankResult

if TYPE_CHECKING:
    from xinference_bridge.client import Client
    from xinference_bridge.connection import XinferenceConnection
    from xinference_bridge.models import ModelInfo
    from xinference_bridge.wire import JSON, Response


class ServedModel:
    """One running model. Cheap to make: nothing is asked before the first call."""

    __slots__ = ("connection", "uid")

    def __init__(self, connection: XinferenceConnection, uid: str) -> None:
        self.connection = connection
        self.uid = uid

    @property
    def _client(self) -> Client:
        return self.connection.client

    def describe(self) -> ModelInfo:
        """The model's description, asked once for all who share the connection."""
        return self._client.running.describe(self.uid)

    async def adescribe(self) -> ModelInfo:
        """Same as `describe`, but awaited."""
        return await self._client.running.adescribe(self.uid)

    def known_description(self) -> ModelInfo | None:
        """The description if it was asked already; asks nothing."""
        return self._client.running.known(self.uid)

    # Chat

    def chat(self, call: ChatCall, options: CallOptions = DEFAULT_OPTIONS) -> ChatResult:
        """The whole answer to one turn.

        Raises XinferenceContextOverflowError, XinferenceUnsupportedError, and whatever the server answers with.
        """
        client = self._client
        plan = self._plan(client, call, options, stream=False)
        with _explaining_size(call, plan.model):
            response = client.send(plan.request, options)
        with _placing(response, self.uid):
            return self._whole(plan, response)

    async def achat(self, call: ChatCall, options: CallOptions = DEFAULT_OPTIONS) -> ChatResult:
        """Same as `chat`, but awaited."""
        client = self._client
        plan = await self._aplan(client, call, options, stream=False)
        with _explaining_size(call, plan.model):
            response = await client.asend(plan.request, options)
        with _placing(response, self.uid):
            return self._whole(plan, response)

    def stream_chat(
        self, call: ChatCall, options: CallOptions = DEFAULT_OPTIONS, *, stream_usage: bool = True
    ) -> Generator[ChatDelta, None, None]:
        """The answer as it grows; the last delta has it whole as `final`.

        Raises XinferenceStreamError, with the text so far, when the stream breaks after it began.
        """
        plan = self._plan(self._client, call, options, stream=True, stream_usage=stream_usage)
        answer = ChatAccumulator(tools=plan.reads_tools, start=plan.start)
        with _explaining_size(call, plan.model), closing(self._stream(plan.request, options, answer)) as deltas:
            for delta in deltas:
                if delta.final is not None:
                    plan.check(delta.final)
                yield delta

    async def astream_chat(
        self, call: ChatCall, options: CallOptions = DEFAULT_OPTIONS, *, stream_usage: bool = True
    ) -> AsyncGenerator[ChatDelta, None]:
        """Same as `stream_chat`, but awaited."""
        plan = await self._aplan(self._client, call, options, stream=True, stream_usage=stream_usage)
        answer = ChatAccumulator(tools=plan.reads_tools, start=plan.start)
        with _explaining_size(call, plan.model):
            async with aclosing(self._astream(plan.request, options, answer)) as deltas:
                async for delta in deltas:
                    if delta.final is not None:
                        plan.check(delta.final)
                    yield delta

    def _whole(self, plan: ChatPlan, response: Response) -> ChatResult:
        result = chat_result_from_wire(endpoints.json_answer(response), tools=plan.reads_tools, start=plan.start)
        result.request_id = response.request_id
        plan.check(result)
        return result

    def _plan(
        self, client: Client, call: ChatCall, options: CallOptions, *, stream: bool, stream_usage: bool = True
    ) -> ChatPlan:
        size = context_guard.prompt_bytes(call)
        model = client.running.known(self.uid)
        if model is None and (size > context_guard.SHORT_BYTES or needs_description(call, stream=stream)):
            model = self._described()  # None for a key that may chat but not look: nothing is assumed of the engine
        if model is not None and context_guard.must_count(call, model, size):
            context_guard.refuse_overflow(call, model, self._tokens_of(call, options))
        return plan_chat(self.uid, call, model, stream=stream, stream_usage=stream_usage)

    async def _aplan(
        self, client: Client, call: ChatCall, options: CallOptions, *, stream: bool, stream_usage: bool = True
    ) -> ChatPlan:
        size = context_guard.prompt_bytes(call)
        model = client.running.known(self.uid)
        if model is None and (size > context_guard.SHORT_BYTES or needs_description(call, stream=stream)):
            model = await self._adescribed()
        if model is not None and context_guard.must_count(call, model, size):
            context_guard.refuse_overflow(call, model, await self._atokens_of(call, options))
        return plan_chat(self.uid, call, model, stream=stream, stream_usage=stream_usage)

    def count_tokens(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] = (), options: CallOptions = DEFAULT_OPTIONS
    ) -> int:
        """The prompt's tokens, counted by the server; XinferenceUnsupportedError where its engine does not count."""
        request = endpoints.count_tokens_request(self.uid, messages, tools)
        response = self._client.send(request, options)
        with _placing(response, self.uid):
            return endpoints.token_count_from_response(response)

    async def acount_tokens(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] = (), options: CallOptions = DEFAULT_OPTIONS
    ) -> int:
        """Same as `count_tokens`, but awaited."""
        request = endpoints.count_tokens_request(self.uid, messages, tools)
        response = await self._client.asend(request, options)
        with _placing(response, self.uid):
            return endpoints.token_count_from_response(response)

    def _tokens_of(self, call: ChatCall, options: CallOptions) -> int | None:
        """Of the call's words alone, where it has pictures too; None where the server does not count them."""
        try:
            return self.count_tokens(without_media(call.messages), call.tools, options)
        except context_guard.NOT_COUNTED:
            return None

    async def _atokens_of(self, call: ChatCall, options: CallOptions) -> int | None:
        try:
            return await self.acount_tokens(without_media(call.messages), call.tools, options)
        except context_guard.NOT_COUNTED:
            return None

    # Completion

    def complete(
        self, prompt: str, parameters: Mapping[str, Any], options: CallOptions = DEFAULT_OPTIONS
    ) -> ChatResult:
        """How the prompt goes on; of a model whose engine only lets it chat, what it answers to the prompt."""
        if self._only_chats(self._described()):
            return self.chat(_as_chat(prompt, parameters), options)
        request = endpoints.completion_request(self.uid, prompt, parameters)
        response = self._client.send(request, options)
        with _placing(response, self.uid):
            return _completed(response)

    async def acomplete(
        self, prompt: str, parameters: Mapping[str, Any], options: CallOptions = DEFAULT_OPTIONS
    ) -> ChatResult:
        """Same as `complete`, but awaited."""
        if self._only_chats(await self._adescribed()):
            return await self.achat(_as_chat(prompt, parameters), options)
        request = endpoints.completion_request(self.uid, prompt, parameters)
        response = await self._client.asend(request, options)
        with _placing(response, self.uid):
            return _completed(response)

    def stream_complete(
        self, prompt: str, parameters: Mapping[str, Any], options: CallOptions = DEFAULT_OPTIONS
    ) -> Generator[ChatDelta, None, None]:
        """How the prompt goes on, as it grows; the last delta has it whole as `final`."""
        if self._only_chats(self._described()):
            yield from self.stream_chat(_as_chat(prompt, parameters), options)
            return
        request = endpoints.completion_request(self.uid, prompt, _streamed(parameters))
        yield from self._stream(request, options, ChatAccumulator(tools=False, completion=True))

    async def astream_complete(
        self, prompt: str, parameters: Mapping[str, Any], options: CallOptions = DEFAULT_OPTIONS
    ) -> AsyncGenerator[ChatDelta, None]:
        """Same as `stream_complete`, but awaited."""
        if self._only_chats(await self._adescribed()):
            stream = self.astream_chat(_as_chat(prompt, parameters), options)
        else:
            request = endpoints.completion_request(self.uid, prompt, _streamed(parameters))
            stream = self._astream(request, options, ChatAccumulator(tools=False, completion=True))
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                yield delta

    def _described(self) -> ModelInfo | None:
        """The description, or None where the credential may use the model but not look at it."""
        try:
            return self.describe()
        except XinferencePermissionError:
            return None

    async def _adescribed(self) -> ModelInfo | None:
        try:
            return await self.adescribe()
        except XinferencePermissionError:
            return None

    def _only_chats(self, model: ModelInfo | None) -> bool:
        """Whether completions go to the chat endpoint; such a model has the ability "generate" all the same."""
        if model is None or not model.can("chat"):
            return False
        return not model.can("generate") or not engine_named(model.engine).completes_chat_models

    def _stream(
        self, request: Request, options: CallOptions, answer: ChatAccumulator
    ) -> Generator[ChatDelta, None, None]:
        begun = False
        call = self._client.call(request, options)
        try:
            with closing(self._client.stream_call(call)) as events:
                for event in events:
                    begun = True
                    if event is None:
                        answer.mark_done()
                    elif (delta := answer.feed(event)) is not None:
                        yield delta
            last = answer.finish()
            if last.final is not None:
                last.final.request_id = call.request_id
            yield last
        except XinferenceError as error:
            error.fill(url=call.url, model_uid=self.uid, request_id=call.request_id)
            if not begun or isinstance(error, XinferenceStreamError):
                raise
            raise _broken_off(error, answer) from error

    async def _astream(
        self, request: Request, options: CallOptions, answer: ChatAccumulator
    ) -> AsyncGenerator[ChatDelta, None]:
        begun = False
        call = self._client.call(request, options)
        try:
            async with aclosing(self._client.astream_call(call)) as events:
                async for event in events:
                    begun = True
                    if event is None:
                        answer.mark_done()
                    elif (delta := answer.feed(event)) is not None:
                        yield delta
            last = answer.finish()
            if last.final is not None:
                last.final.request_id = call.request_id
            yield last
        except XinferenceError as error:
            error.fill(url=call.url, model_uid=self.uid, request_id=call.request_id)
            if not begun or isinstance(error, XinferenceStreamError):
                raise
            raise _broken_off(error, answer) from error

    # Embeddings and rerank

    def embed(
        self, texts: Sequence[str], parameters: Mapping[str, Any], options: CallOptions = DEFAULT_OPTIONS
    ) -> Embeddings:
        """One vector a text, in input order, from one request; none for none, without a request."""
        if not texts:
            return Embeddings([])
        request = endpoints.embeddings_request(self.uid, texts, parameters)
        response = self._client.send(request, options)
        with _placing(response, self.uid):
            return endpoints.embeddings_from_response(response, len(texts))

    async def aembed(
        self, texts: Sequence[str], parameters: Mapping[str, Any], options: CallOptions = DEFAULT_OPTIONS
    ) -> Embeddings:
        """Same as `embed`, but awaited."""
        if not texts:
            return Embeddings([])
        request = endpoints.embeddings_request(self.uid, texts, parameters)
        response = await self._client.asend(request, options)
        with _placing(response, self.uid):
            return endpoints.embeddings_from_response(response, len(texts))

    def rerank(
        self,
        query: str,
        documents: Sequence[str],
        parameters: Mapping[str, Any],
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> list[RerankResult]:
        """The documents' scores, best first; `top_n` among the parameters bounds how many come back."""
        if not documents:
            return []
        request = endpoints.rerank_request(self.uid, query, documents, parameters)
        response = self._client.send(request, options)
        with _placing(response, self.uid):
            return endpoints.rerank_from_response(response, len(documents), parameters.get("top_n"))

    async def arerank(
        self,
        query: str,
        documents: Sequence[str],
        parameters: Mapping[str, Any],
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> list[RerankResult]:
        """Same as `rerank`, but awaited."""
        if not documents:
            return []
        request = endpoints.rerank_request(self.uid, query, documents, parameters)
        response = await self._client.asend(request, options)
        with _placing(response, self.uid):
            return endpoints.rerank_from_response(response, len(documents), parameters.get("top_n"))


def _completed(response: Response) -> ChatResult:
    result = completion_result_from_wire(endpoints.json_answer(response))
    result.request_id = response.request_id
    return result


def _as_chat(prompt: str, parameters: Mapping[str, Any]) -> ChatCall:
    wanted = parameters.get("logprobs")
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        # A number on /v1/completions; on the chat endpoint a switch, with the number beside it.
        parameters = {**parameters, "logprobs": True, "top_logprobs": wanted}
    return ChatCall([{"role": "user", "content": prompt}], parameters)


class _explaining_size:  # noqa: N801 - a context manager, read as a word
    """Raises what a failure without a reason means for so long a prompt.

    The model is what was known of it before: a failure makes the client forget it.
    """

    __slots__ = ("_call", "_model")

    def __init__(self, call: ChatCall, model: ModelInfo | None) -> None:
        self._call = call
        self._model = model

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, XinferenceServerError):
            better = context_guard.explained_by_size(error, self._call, self._model)
            if better is not error:
                raise better from error


def _streamed(parameters: Mapping[str, Any]) -> JSON:
    return {"stream_options": {"include_usage": True}, **parameters, "stream": True}


class _placing:  # noqa: N801 - a context manager, read as a word
    """Names the request in the error of an answer that cannot be read: its readers see JSON alone."""

    __slots__ = ("_response", "_uid")

    def __init__(self, response: Response, uid: str) -> None:
        self._response = response
        self._uid = uid

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, XinferenceError):
            response = self._response
            error.fill(url=response.url, model_uid=self._uid, request_id=response.request_id)
            if isinstance(error, XinferenceProtocolError):
                error.status_code = response.status


def _broken_off(error: XinferenceError, answer: ChatAccumulator) -> XinferenceStreamError:
    """A failure amid a stream, with the text so far; one before its first event stays what it is."""
    broken = XinferenceStreamError(
        f"The stream broke off after {len(answer.text)} characters: {error.message}",
        url=error.url,
        model_uid=error.model_uid,
        status_code=error.status_code,
        request_id=error.request_id,
        body=error.body,
    )
    broken.partial_text = answer.text
    return broken
