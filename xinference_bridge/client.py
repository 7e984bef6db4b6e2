"""Sends calls for one connection: credential, retries, errors explained. Sync and awaited twins differ by `await`."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from xinference_bridge import endpoints, failures
from xinference_bridge.async_transport import AsyncStream, AsyncTransport
from xinference_bridge.authorisation import Authorisation
from xinference_bridge.call import Call
from xinference_bridge.errors import (
    XinferenceAuthenticationError,
    XinferenceConnectionError,
    XinferenceError,
    XinferenceModelLoadingError,
    XinferenceModelNotFoundError,
    XinferenceModelTypeError,
    XinferencePermissionError,
    XinferenceServerError,
    XinferenceTimeoutError,
)
from xinference_bridge.models import ModelInfo, find_model, not_found, wrong_type
from xinference_bridge.retry import awith_retries, with_retries
from xinference_bridge.sse import SSEDecoder
from xinference_bridge.sync_transport import SyncStream, SyncTransport
from xinference_bridge.wire import DEFAULT_OPTIONS, JSON, CallOptions, Request, Response

if TYPE_CHECKING:
    from xinference_bridge.connection import XinferenceConnection

#: After these a model may come back on another engine: what was kept of it is forgotten.
_GONE = (XinferenceModelNotFoundError, XinferenceModelLoadingError, XinferenceConnectionError, XinferenceServerError)
#: A look at the server to explain a failure must not make the caller wait long.
_LOOK = CallOptions(timeout=5.0, connect_timeout=2.0, deadline=6.0, max_retries=0)
_POLL_SECONDS = 0.5
#: The turn of a call where nothing bounds their number; it holds nothing, so that one serves all.
_AT_ONCE = nullcontext()


class Client:
    """The one sender for all connections with equal settings in this process; safe for threads and event loops."""

    def __init__(self, connection: XinferenceConnection) -> None:
        self.connection = connection
        self._sync = SyncTransport(connection)
        self._async = AsyncTransport(connection)
        self._authorisation = Authorisation(connection)
        self._descriptions: dict[str, ModelInfo] = {}
        self._limit = threading.BoundedSemaphore(connection.max_concurrency) if connection.max_concurrency else None
        self._limits: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    # One exchange

    def send(self, request: Request, options: CallOptions = DEFAULT_OPTIONS) -> Response:
        """The server's answer to one request.

        Raises the XinferenceError that names what went wrong, after the retries that the connection or the call allows.
        """
        call = Call(self.connection, request, options)
        try:
            with self._turn(call):
                return with_retries(self._send_once, call)
        except XinferenceError as error:
            self._learn_from(error, call)
            better = self._explained(error, request)
            if better is error:
                raise
            raise better from error

    async def asend(self, request: Request, options: CallOptions = DEFAULT_OPTIONS) -> Response:
        """Same as `send`, but awaited."""
        call = Call(self.connection, request, options)
        try:
            async with self._aturn(call):
                return await awith_retries(self._asend_once, call)
        except XinferenceError as error:
            self._learn_from(error, call)
            better = await self._aexplained(error, request)
            if better is error:
                raise
            raise better from error

    def _send_once(self, call: Call) -> Response:
        permit = self._authorisation.enter(call)
        try:
            response = self._sync.send(call, permit.authorization)
        except XinferenceError as error:
            permit.undecided()
            if _may_be_stale(error, call, answered=self._sync.has_answered):
                return self._send_once(call)
            raise
        except BaseException:
            permit.undecided()
            raise
        if self._authorisation.wants_another_try(call, permit, response):
            return self._send_once(call)
        return _successful(call, response)

    async def _asend_once(self, call: Call) -> Response:
        permit = await self._authorisation.aenter(call)
        try:
            response = await self._async.send(call, permit.authorization)
        except XinferenceError as error:
            permit.undecided()
            if _may_be_stale(error, call, answered=self._async.has_answered):
                return await self._asend_once(call)
            raise
        except BaseException:
            permit.undecided()
            raise
        if self._authorisation.wants_another_try(call, permit, response):
            return await self._asend_once(call)
        return _successful(call, response)

    # One stream

    def stream(self, request: Request, options: CallOptions = DEFAULT_OPTIONS) -> Generator[JSON | None, None, None]:
        """The events of one stream as JSON objects, and None where the server says `[DONE]`.

        Closing the generator closes the socket, which ends the generation on the server. Raises as `send` does; once
        the first event was given nothing is tried again. What follows `[DONE]` is nobody's matter.
        """
        return self.stream_call(self.call(request, options))

    def astream(self, request: Request, options: CallOptions = DEFAULT_OPTIONS) -> AsyncGenerator[JSON | None, None]:
        """Same as `stream`, but awaited."""
        return self.astream_call(self.call(request, options))

    def call(self, request: Request, options: CallOptions = DEFAULT_OPTIONS) -> Call:
        """One call about to be made, whose id is known beforehand; its deadline begins now."""
        return Call(self.connection, request, options)

    def stream_call(self, call: Call) -> Generator[JSON | None, None, None]:
        """Same as `stream`, of a call that was made by `call`."""
        with self._turn(call):
            try:
                opened = with_retries(self._open_stream, call)
            except XinferenceError as error:
                self._learn_from(error, call)
                better = self._explained(error, call.request)
                if better is error:
                    raise
                raise better from error
            stream, chunks, events = opened
            try:
                yield from events.ready()
                while not events.done and (chunk := next(chunks, None)) is not None:
                    yield from events.read(chunk)
                if events.done:
                    stream.finish(chunks)
                else:
                    events.end()
            except XinferenceError as error:
                self._learn_from(error, call)
                raise
            finally:
                stream.close()

    async def astream_call(self, call: Call) -> AsyncGenerator[JSON | None, None]:
        """Same as `stream_call`, but awaited."""
        async with self._aturn(call):
            try:
                opened = await awith_retries(self._aopen_stream, call)
            except XinferenceError as error:
                self._learn_from(error, call)
                better = await self._aexplained(error, call.request)
                if better is error:
                    raise
                raise better from error
            stream, chunks, events = opened
            try:
                for event in events.ready():
                    yield event
                while not events.done and (chunk := await anext(chunks, None)) is not None:
                    for event in events.read(chunk):
                        yield event
                if events.done:
                    await stream.finish(chunks)
                else:
                    events.end()
            except XinferenceError as error:
                self._learn_from(error, call)
                raise
            finally:
                stream.close()

    def _open_stream(self, call: Call) -> _Opened:
        """The stream with its first event read, so that an error sent under HTTP 200 is still met by the retries."""
        stream = self._open_stream_once(call)
        try:
            if stream.status != 200:
                raise failures.error_from_response(call.request, stream.read())
            if not _is_event_stream(stream):
                raise failures.not_a_stream(call.request, stream.read())
            events = _Events(call, stream.request_id)
            chunks = iter(stream)
            for chunk in chunks:
                if events.hold(chunk):
                    break
        except BaseException:
            stream.close()
            raise
        return stream, chunks, events

    async def _aopen_stream(self, call: Call) -> _AOpened:
        stream = await self._aopen_stream_once(call)
        try:
            if stream.status != 200:
                raise failures.error_from_response(call.request, await stream.read())
            if not _is_event_stream(stream):
                raise failures.not_a_stream(call.request, await stream.read())
            events = _Events(call, stream.request_id)
            chunks = aiter(stream)
            async for chunk in chunks:
                if events.hold(chunk):
                    break
        except BaseException:
            stream.close()
            raise
        return stream, chunks, events

    def _open_stream_once(self, call: Call) -> SyncStream:
        permit = self._authorisation.enter(call)
        try:
            stream = self._sync.stream(call, permit.authorization)
        except XinferenceError as error:
            permit.undecided()
            if _may_be_stale(error, call, answered=self._sync.has_answered):
                return self._open_stream_once(call)
            raise
        except BaseException:
            permit.undecided()
            raise
        try:
            again = stream.status == 401 and self._authorisation.wants_another_try(call, permit, stream.read())
        except BaseException:
            stream.close()
            raise
        if again:
            return self._open_stream_once(call)
        permit.answered(stream.status)
        return stream

    async def _aopen_stream_once(self, call: Call) -> AsyncStream:
        permit = await self._authorisation.aenter(call)
        try:
            stream = await self._async.stream(call, permit.authorization)
        except XinferenceError as error:
            permit.undecided()
            if _may_be_stale(error, call, answered=self._async.has_answered):
                return await self._aopen_stream_once(call)
            raise
        except BaseException:
            permit.undecided()
            raise
        try:
            again = stream.status == 401 and self._authorisation.wants_another_try(call, permit, await stream.read())
        except BaseException:
            stream.close()
            raise
        if again:
            return await self._aopen_stream_once(call)
        permit.answered(stream.status)
        return stream

    # Which models run

    def models(self, options: CallOptions = DEFAULT_OPTIONS) -> list[ModelInfo]:
        """The models that run now."""
        return self._keep(endpoints.models_from_response(self.send(endpoints.LIST_MODELS, options)))

    async def amodels(self, options: CallOptions = DEFAULT_OPTIONS) -> list[ModelInfo]:
        """Same as `models`, but awaited."""
        return self._keep(endpoints.models_from_response(await self.asend(endpoints.LIST_MODELS, options)))

    def _keep(self, models: list[ModelInfo]) -> list[ModelInfo]:
        self._descriptions = {model.uid: model for model in models}
        return models

    def model(self, uid_or_name: str) -> ModelInfo:
        """The running model with this UID or unique name."""
        return find_model(uid_or_name, self.models(), self.connection.server_url)

    async def amodel(self, uid_or_name: str) -> ModelInfo:
        """Same as `model`, but awaited."""
        return find_model(uid_or_name, await self.amodels(), self.connection.server_url)

    def server_version(self, options: CallOptions = DEFAULT_OPTIONS) -> str | None:
        """The server's version, or None where it is not told: to a key it answers 403, without a credential 401."""
        try:
            return endpoints.version_from_response(self.send(endpoints.CLUSTER_VERSION, options))
        except (XinferencePermissionError, XinferenceAuthenticationError):
            return None

    def known(self, uid: str) -> ModelInfo | None:
        """What was already learnt of this model, without asking."""
        return self._descriptions.get(uid)

    def describe(self, uid: str) -> ModelInfo:
        """The model's description: asked once, and kept until an answer says that the model is gone."""
        known = self._descriptions.get(uid)
        if known is None:
            request = endpoints.describe_request(uid)
            known = self._descriptions[uid] = endpoints.model_from_response(self.send(request), uid)
        return known

    async def adescribe(self, uid: str) -> ModelInfo:
        """Same as `describe`, but awaited."""
        known = self._descriptions.get(uid)
        if known is None:
            request = endpoints.describe_request(uid)
            known = self._descriptions[uid] = endpoints.model_from_response(await self.asend(request), uid)
        return known

    def check(self, uid_or_name: str, ability: str | None = None, *, try_it: bool = False) -> ModelInfo:
        """Reach, authenticate, find, match the type, and with `try_it` ask one tiny thing."""
        running = self.models()
        info = self._matched(uid_or_name, running, ability)
        if try_it:
            self.send(endpoints.tiny_request(info))
        return info

    async def acheck(self, uid_or_name: str, ability: str | None = None, *, try_it: bool = False) -> ModelInfo:
        """Same as `check`, but awaited."""
        running = await self.amodels()
        info = self._matched(uid_or_name, running, ability)
        if try_it:
            await self.asend(endpoints.tiny_request(info))
        return info

    def _matched(self, uid_or_name: str, running: list[ModelInfo], ability: str | None) -> ModelInfo:
        server_url = self.connection.server_url
        try:
            info = find_model(uid_or_name, running, server_url)
        except XinferenceModelNotFoundError:
            if ability is None or any(model.name == uid_or_name for model in running):
                raise
            raise not_found(uid_or_name, running, server_url, ability) from None
        if ability is not None and not info.can(ability):
            raise wrong_type(info, running, server_url, ability)
        return info

    def wait_until_ready(self, uid: str, timeout: float) -> ModelInfo:
        """Wait for the model's description; polls it, and never inference, whose 404s the server remembers for 10 s."""
        request = endpoints.describe_request(uid)
        until = time.monotonic() + timeout
        while True:
            try:
                # Not `send`, which would look at all models after each failure, to explain it.
                return self._fresh_description(self._send_once(self.call(request, _poll(until))), uid)
            except _NOT_UP_YET as error:
                if time.monotonic() + _POLL_SECONDS >= until:
                    raise _not_ready(uid, timeout, self._explained(error, request)) from error
            time.sleep(_POLL_SECONDS)

    async def await_until_ready(self, uid: str, timeout: float) -> ModelInfo:
        """Same as `wait_until_ready`, but awaited."""
        request = endpoints.describe_request(uid)
        until = time.monotonic() + timeout
        while True:
            try:
                return self._fresh_description(await self._asend_once(self.call(request, _poll(until))), uid)
            except _NOT_UP_YET as error:
                if time.monotonic() + _POLL_SECONDS >= until:
                    raise _not_ready(uid, timeout, await self._aexplained(error, request)) from error
            await asyncio.sleep(_POLL_SECONDS)

    def _fresh_description(self, response: Response, uid: str) -> ModelInfo:
        info = self._descriptions[uid] = endpoints.model_from_response(response, uid)
        return info

    # Failures

    def _learn_from(self, error: XinferenceError, call: Call) -> None:
        """Forget a model that is gone or was restarted: it may come back on another engine; name the call it was."""
        uid = call.request.model_uid
        error.fill(url=call.url, model_uid=uid, request_id=call.request_id)
        if uid is not None and isinstance(error, _GONE):
            self._descriptions.pop(uid, None)

    def _explained(self, error: XinferenceError, request: Request) -> XinferenceError:
        """The error with what one look at the running models tells; made only after a failure that it can explain."""
        if not _a_look_helps(error, request):
            return error
        try:
            response = self._send_once(Call(self.connection, endpoints.LIST_MODELS, _LOOK))
            return self._with_models(error, request, endpoints.models_from_response(response))
        except XinferenceError:
            return error

    async def _aexplained(self, error: XinferenceError, request: Request) -> XinferenceError:
        if not _a_look_helps(error, request):
            return error
        try:
            response = await self._asend_once(Call(self.connection, endpoints.LIST_MODELS, _LOOK))
            return self._with_models(error, request, endpoints.models_from_response(response))
        except XinferenceError:
            return error

    def _with_models(self, error: XinferenceError, request: Request, running: list[ModelInfo]) -> XinferenceError:
        uid, server_url = request.model_uid or "", self.connection.server_url
        model = next((model for model in running if model.uid == uid), None)
        better: XinferenceError
        if model is None:
            better = not_found(uid, running, server_url, request.ability)
        elif request.ability is not None and not model.can(request.ability):
            better = wrong_type(model, running, server_url, request.ability)
        else:
            return error
        for name in ("status_code", "request_id", "body"):
            setattr(better, name, getattr(error, name))
        better.url = error.url or better.url
        return better

    # Turns and endings

    def _turn(self, call: Call) -> AbstractContextManager[None]:
        """At most `max_concurrency` calls at once; the others wait, no longer than their deadline."""
        return _AT_ONCE if self._limit is None else self._turn_of(self._limit, call)

    @contextmanager
    def _turn_of(self, limit: threading.Semaphore, call: Call) -> Iterator[None]:
        if not limit.acquire(timeout=call.remaining()):
            raise failures.deadline_passed(call.url, call.deadline)
        try:
            yield
        finally:
            limit.release()

    def _aturn(self, call: Call) -> AbstractAsyncContextManager[None]:
        limit = self.connection.max_concurrency
        return _AT_ONCE if limit is None else self._aturn_of(limit, call)

    @asynccontextmanager
    async def _aturn_of(self, count: int, call: Call) -> AsyncIterator[None]:
        limit = self._limits.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(count))
        left = call.remaining()
        if left is None:
            await limit.acquire()
        else:
            try:
                await asyncio.wait_for(limit.acquire(), left)
            except asyncio.TimeoutError:
                raise failures.deadline_passed(call.url, call.deadline) from None
        try:
            yield
        finally:
            limit.release()

    def drop_after_fork(self) -> None:
        """In a forked child: close its copies of the parent's idle sockets, without a word to the server."""
        self._sync.drop_after_fork()
        self._async.drop_after_fork()

    def close(self) -> None:
        """Close every socket."""
        self._sync.close()
        self._async.abandon()

    async def aclose(self) -> None:
        """Same as `close`, but this loop's sockets are closed with a proper goodbye."""
        self._sync.close()
        await self._async.aclose()


class _Events:
    """Bytes of one stream → events; an error event becomes the error it stands for."""

    def __init__(self, call: Call, request_id: str) -> None:
        self.done = False
        """Whether the server said `[DONE]`."""
        self._call = call
        self._decoder = SSEDecoder()
        self._held: list[JSON | None] = []
        self._broken: XinferenceError | None = None
        self._request_id = request_id

    def hold(self, chunk: bytes) -> bool:
        """Read bytes ahead of the caller; whether an event has come."""
        try:
            for event in self.read(chunk):
                self._held.append(event)
        except XinferenceError as error:
            if not self._held:
                raise
            # Text came before the error in the same bytes: the caller gets it first.
            self._broken = error
        return bool(self._held)

    def ready(self) -> Iterator[JSON | None]:
        """The events that were read ahead."""
        yield from self._held
        if self._broken is not None:
            raise self._broken

    def read(self, chunk: bytes) -> Iterator[JSON | None]:
        """The events that these bytes complete, until the server says that it is done."""
        for payload in self._decoder.feed(chunk):
            if payload == endpoints.DONE:
                self.done = True
                yield None
                return
            event = endpoints.event_from_payload(payload, self._call.url)
            if event.get("error") is not None:
                raise failures.error_from_event(
                    self._call.request, event, url=self._call.url, request_id=self._request_id
                )
            yield event

    def end(self) -> None:
        """The bytes are at their end; raises XinferenceConnectionError when that is amid an event."""
        self._decoder.close()
        if self._decoder.pending:
            raise failures.cut_short(self._call.url, "amid an event", request_id=self._request_id)


def _is_event_stream(stream: SyncStream | AsyncStream) -> bool:
    return "event-stream" in stream.headers.get("content-type", "")


_Opened: TypeAlias = tuple[SyncStream, Iterator[bytes], _Events]
_AOpened: TypeAlias = tuple[AsyncStream, AsyncIterator[bytes], _Events]


def _successful(call: Call, response: Response) -> Response:
    if response.status >= 300:
        raise failures.error_from_response(call.request, response)
    return response


def _may_be_stale(error: XinferenceError, call: Call, *, answered: bool) -> bool:
    """Whether the socket was a pooled one that the server had closed meanwhile (after 5 idle seconds).

    Such a request was never read, so it is sent once more, at once and without using up a retry.
    """
    if call.resent or not answered or not getattr(error, "hung_up", False):
        return False
    call.resent = True
    return True


def _a_look_helps(error: XinferenceError, request: Request) -> bool:
    if request.model_uid is None:
        return False
    # 4.1.0 answers a 500 to a model of the wrong type: "The chat completion request failed. Check the server logs" for
    # an embedding model asked to chat, "object has no attribute 'model_spec'" for a reranker asked to embed.
    failed_inside = isinstance(error, XinferenceServerError) and error.status_code in (None, 500)
    return failed_inside or isinstance(error, (XinferenceModelNotFoundError, XinferenceModelTypeError))


_NOT_UP_YET = (
    XinferenceModelNotFoundError,
    XinferenceModelLoadingError,
    XinferenceConnectionError,
    XinferenceTimeoutError,
    XinferenceServerError,
)


def _poll(until: float) -> CallOptions:
    return CallOptions(timeout=10.0, connect_timeout=2.0, deadline=max(0.1, until - time.monotonic()), max_retries=0)


def _not_ready(uid: str, timeout: float, last: XinferenceError) -> XinferenceTimeoutError:
    msg = f"Model {uid!r} was not ready within {timeout:g} s. Last answer: {last.message}"
    return XinferenceTimeoutError(msg, url=last.url, model_uid=uid, status_code=last.status_code)
