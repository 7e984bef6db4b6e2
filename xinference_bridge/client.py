"""Sends calls for one connection: credential, retries, errors explained. Sync and awaited twins differ by `await`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from xinference_bridge import endpoints, failures
from xinference_bridge.async_transport import AsyncStream, AsyncTransport
from xinference_bridge.authorisation import Authorisation
from xinference_bridge.call import Call
from xinference_bridge.errors import XinferenceError
from xinference_bridge.explanations import a_look_helps, explained
from xinference_bridge.retry import awith_retries, with_retries
from xinference_bridge.running_models import RunningModels
from xinference_bridge.stream_events import StreamEvents, is_event_stream
from xinference_bridge.sync_transport import SyncStream, SyncTransport
from xinference_bridge.wire import DEFAULT_OPTIONS, JSON, CallOptions, Request, Response

if TYPE_CHECKING:
    from xinference_bridge.connection import XinferenceConnection
    from xinference_bridge.credentials import Permit

#: A look at the server to explain a failure must not make the caller wait long.
_LOOK = CallOptions(timeout=5.0, connect_timeout=2.0, deadline=6.0, max_retries=0)
#: The turn of a call where nothing bounds their number; it holds nothing, so that one serves all.
_AT_ONCE = nullcontext()


class Client:
    """The one sender for all connections with equal settings in this process; safe for threads and event loops."""

    def __init__(self, connection: XinferenceConnection) -> None:
        self.connection = connection
        self._sync = SyncTransport(connection)
        self._async = AsyncTransport(connection)
        self._authorisation = Authorisation(connection)
        self.running = RunningModels(self)
        """Which models run there."""
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
                return with_retries(self.send_once, call)
        except XinferenceError as error:
            self._learn_from(error, call)
            better = self.explain(error, request)
            if better is error:
                raise
            raise better from error

    async def asend(self, request: Request, options: CallOptions = DEFAULT_OPTIONS) -> Response:
        """Same as `send`, but awaited."""
        call = Call(self.connection, request, options)
        limit = self.connection.max_concurrency
        try:
            if limit is None:
                return await awith_retries(self.asend_once, call)
            async with self._aturn(limit, call):
                return await awith_retries(self.asend_once, call)
        except XinferenceError as error:
            self._learn_from(error, call)
            better = await self.aexplain(error, request)
            if better is error:
                raise
            raise better from error

    def send_once(self, call: Call) -> Response:
        """The answer of one attempt: no retry, and nothing asked to explain a failure."""
        while True:
            permit = self._authorisation.enter(call)
            with _Sending(call, permit, self._sync):
                response = self._sync.send(call, permit.authorization)
                if not self._authorisation.wants_another_try(call, permit, response):
                    return _successful(call, response)

    async def asend_once(self, call: Call) -> Response:
        """Same as `send_once`, but awaited."""
        while True:
            permit = self._authorisation.enter_at_once(call) or await self._authorisation.aenter(call)
            with _Sending(call, permit, self._async):
                response = await self._async.send(call, permit.authorization)
                if not self._authorisation.wants_another_try(call, permit, response):
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
                better = self.explain(error, call.request)
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
        limit = self.connection.max_concurrency
        async with self._aturn(limit, call) if limit is not None else _AT_ONCE:
            try:
                opened = await awith_retries(self._aopen_stream, call)
            except XinferenceError as error:
                self._learn_from(error, call)
                better = await self.aexplain(error, call.request)
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
        with _closed_on_failure(stream):
            if stream.status != 200:
                raise failures.error_from_response(call.request, stream.read())
            if not is_event_stream(stream):
                raise failures.not_a_stream(call.request, stream.read())
            events = StreamEvents(call, stream.request_id)
            chunks = iter(stream)
            for chunk in chunks:
                if events.hold(chunk):
                    break
        return stream, chunks, events

    async def _aopen_stream(self, call: Call) -> _AOpened:
        stream = await self._aopen_stream_once(call)
        with _closed_on_failure(stream):
            if stream.status != 200:
                raise failures.error_from_response(call.request, await stream.read())
            if not is_event_stream(stream):
                raise failures.not_a_stream(call.request, await stream.read())
            events = StreamEvents(call, stream.request_id)
            chunks = aiter(stream)
            async for chunk in chunks:
                if events.hold(chunk):
                    break
        return stream, chunks, events

    def _open_stream_once(self, call: Call) -> SyncStream:
        while True:
            permit = self._authorisation.enter(call)
            with _Sending(call, permit, self._sync):
                stream = self._sync.stream(call, permit.authorization)
                if stream.status != 401:
                    permit.answered(stream.status)
                    return stream
                with closing(stream):
                    self._authorisation.wants_another_try(call, permit, stream.read())

    async def _aopen_stream_once(self, call: Call) -> AsyncStream:
        while True:
            permit = self._authorisation.enter_at_once(call) or await self._authorisation.aenter(call)
            with _Sending(call, permit, self._async):
                stream = await self._async.stream(call, permit.authorization)
                if stream.status != 401:
                    permit.answered(stream.status)
                    return stream
                with closing(stream):
                    self._authorisation.wants_another_try(call, permit, await stream.read())

    # Failures

    def _learn_from(self, error: XinferenceError, call: Call) -> None:
        """Name the call that failed, and forget what may not hold of its model any more."""
        error.fill(url=call.url, model_uid=call.request.model_uid, request_id=call.request_id)
        self.running.learn_from(error, call.request.model_uid)

    def explain(self, error: XinferenceError, request: Request) -> XinferenceError:
        """The error with what one look at the running models tells; made only after a failure that it can explain."""
        if not a_look_helps(error, request):
            return error
        try:
            response = self.send_once(Call(self.connection, endpoints.LIST_MODELS, _LOOK))
            return explained(error, request, endpoints.models_from_response(response), self.connection.server_url)
        except XinferenceError:
            return error

    async def aexplain(self, error: XinferenceError, request: Request) -> XinferenceError:
        """Same as `explain`, but awaited."""
        if not a_look_helps(error, request):
            return error
        try:
            response = await self.asend_once(Call(self.connection, endpoints.LIST_MODELS, _LOOK))
            return explained(error, request, endpoints.models_from_response(response), self.connection.server_url)
        except XinferenceError:
            return error

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

    @asynccontextmanager
    async def _aturn(self, count: int, call: Call) -> AsyncIterator[None]:
        """Same as `_turn`, in each event loop; asked for only where there is a limit."""
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


_Opened: TypeAlias = tuple[SyncStream, Iterator[bytes], StreamEvents]
_AOpened: TypeAlias = tuple[AsyncStream, AsyncIterator[bytes], StreamEvents]


def _successful(call: Call, response: Response) -> Response:
    if response.status >= 300:
        raise failures.error_from_response(call.request, response)
    return response


class _Sending:
    """One attempt under one permit: settles the permit when it fails, and passes over the failure of a stale socket.

    Stale is a pooled socket that the server had closed meanwhile (after 5 idle seconds). Such a request was never read,
    so it is sent once more, at once and without using up a retry.
    """

    __slots__ = ("_call", "_permit", "_transport")

    def __init__(self, call: Call, permit: Permit, transport: SyncTransport | AsyncTransport) -> None:
        self._call = call
        self._permit = permit
        self._transport = transport

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if error is None:
            return False
        self._permit.undecided()  # harmless where an answer has settled it
        if self._call.resent or not getattr(error, "hung_up", False) or not self._transport.has_answered:
            return False
        self._call.resent = True
        return True


class _closed_on_failure:  # noqa: N801 - a context manager, read as a word
    """Closes a stream that the block fails to open; else the stream is the caller's."""

    __slots__ = ("_stream",)

    def __init__(self, stream: SyncStream | AsyncStream) -> None:
        self._stream = stream

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            self._stream.close()
