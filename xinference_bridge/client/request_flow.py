"""One request, from credential to response: attempts, retries, diagnosis of a failure. For sync and async."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from tenacity import DoAttempt, DoSleep, RetryCallState

from xinference_bridge.client.adaptive_limit import report_overload
from xinference_bridge.client.authentication import Authentication
from xinference_bridge.client.description_cache import DescriptionCache
from xinference_bridge.client.flow import (
    Acquire,
    EnterGate,
    Flow,
    OpenStream,
    ReadFirstEvent,
    ReadRest,
    Send,
    Sleep,
    Via,
)
from xinference_bridge.client.retry_policy import failure_of, retrying
from xinference_bridge.client.servers import Servers, moves_on, worst_of
from xinference_bridge.client.transport.call import Budget, Call
from xinference_bridge.connection_settings import ConnectionSettings
from xinference_bridge.errors import XinferenceConnectionError, XinferenceError, XinferenceModelNotFoundError
from xinference_bridge.protocol.connection_errors import cut_short
from xinference_bridge.protocol.error_responses import error_from_response, not_a_stream
from xinference_bridge.protocol.event_stream import StreamEvents, is_event_stream
from xinference_bridge.protocol.http import Request, Response
from xinference_bridge.protocol.model_info import (
    LIST_MODELS,
    explained,
    listing_explains,
    models_from_response,
)
from xinference_bridge.protocol.sound_stream import SoundStream, is_sound

Answer = TypeVar("Answer")

#: The request that diagnoses a failure must not delay the caller.
_LOOK_SECONDS = 6.0


Read = TypeVar("Read", StreamEvents, SoundStream)


@dataclass(slots=True)
class OpenedStream(Generic[Read]):
    """A stream whose beginning was read: the remaining chunks, and the function that releases its slot."""

    call: Call
    stream: Any
    chunks: Any
    events: Read
    release: Callable[[], None]


class OtherServer(Protocol):
    """The client of a fallback server."""

    requests: RequestFlow


class RequestFlow:
    """The flows of all requests of one connection."""

    def __init__(
        self,
        settings: ConnectionSettings,
        authentication: Authentication,
        descriptions: DescriptionCache,
        fallbacks: Sequence[OtherServer] = (),
    ) -> None:
        self._servers: Servers[OtherServer | None] | None = Servers([None, *fallbacks]) if fallbacks else None
        self.settings = settings
        self._authentication = authentication
        self._descriptions = descriptions

    def send(self, request: Request, budget: Budget) -> Flow[Response]:
        """Return the server's response to one request.

        Args:
            request: What to send.
            budget: The time limits, including retries and the diagnosis of a failure.

        Returns:
            The response, with a status below 300.

        Raises:
            XinferenceError: The request failed, after the allowed retries.
        """
        call = Call(self.settings, request, budget)
        release = yield from self._place(call)
        try:
            return (yield from self._with_retries(self._whole if self._servers is None else self._whole_anywhere, call))
        except XinferenceError as error:
            failure = error
        finally:
            release()
        yield from self._raise_explained(failure, call)
        raise AssertionError  # pragma: no cover - the line above raises

    def open_sound(self, request: Request, budget: Budget) -> Flow[OpenedStream[SoundStream]]:
        """Return an audio stream whose first bytes were read; see `open_stream`."""
        return (yield from self._open(request, budget))

    def open_stream(self, request: Request, budget: Budget) -> Flow[OpenedStream[StreamEvents]]:
        """Return a stream whose first event was read, so that an error sent with HTTP 200 is still retried.

        Raises the errors of `send`. The caller closes the stream and calls `release`; nothing is retried after this.
        """
        return (yield from self._open(request, budget))

    def _open(self, request: Request, budget: Budget) -> Flow[OpenedStream[Any]]:
        call = Call(self.settings, request, budget)
        release = yield from self._place(call)
        opened = False
        try:
            stream, chunks, events = yield from self._with_retries(
                self._begun if self._servers is None else self._begun_anywhere, call
            )
            opened = True
            return OpenedStream(call, stream, chunks, events, release)
        except XinferenceError as error:
            failure = error
        finally:
            if not opened:
                release()
        yield from self._raise_explained(failure, call)
        raise AssertionError  # pragma: no cover - the line above raises

    def send_once(self, request: Request, budget: Budget) -> Flow[Response]:
        """Return the response of one attempt, without retries and diagnosis."""
        return (yield from self._whole(Call(self.settings, request, budget)))

    def explain(self, failure: XinferenceError, request: Request, budget: Budget) -> Flow[XinferenceError]:
        """Return the failure, improved with the list of running models if that can help."""
        if isinstance(failure, XinferenceModelNotFoundError) and failure.known_as is not None:
            return failure  # a fallback server's list has already explained it
        look = budget.for_a_look(_LOOK_SECONDS) if listing_explains(failure, request) else None
        if look is None:
            return failure
        try:
            response = yield from self.send_once(LIST_MODELS, look)
            return explained(failure, request, models_from_response(response), self.settings.server_url)
        except XinferenceError:
            return failure

    def learn_from(self, error: XinferenceError, call: Call) -> None:
        """Add the call to the error, and drop the model's description if it may be outdated."""
        error.fill(url=call.url, model_uid=call.request.model_uid, request_id=call.request_id)
        self._descriptions.learn_from(error, call.request.model_uid)

    def _place(self, call: Call) -> Flow[Callable[[], None]]:
        """Limit concurrent calls to `max_concurrency`. Others wait, at most until their deadline."""
        limit = self.settings.max_concurrency
        if limit is None:
            return _nothing
        release: Callable[[], None] = yield Acquire("place", limit, call)
        return release

    def _with_retries(self, attempt: Callable[[Call], Flow[Answer]], call: Call) -> Flow[Answer]:
        try:
            return (yield from attempt(call))
        except XinferenceError as error:
            if not error.retryable:
                raise
            failure = error
        # tenacity starts only after a failure, because its overhead on a successful call is a third of an async call's
        # time. The failed attempt counts as its first, so that it counts and waits as if it had run from the start.
        # The loop is that of `Retrying.__call__`, with the flow's Sleep.
        retries = retrying(call.budget)
        state = RetryCallState(retries, None, (), {})
        retries.begin()
        state.set_exception((type(failure), failure, failure.__traceback__))
        while True:
            todo = retries.iter(retry_state=state)
            if isinstance(todo, DoAttempt):
                try:
                    return (yield from attempt(call))
                except XinferenceError as error:
                    state.set_exception((type(error), error, error.__traceback__))
            elif isinstance(todo, DoSleep):
                if (refused := failure_of(state)) is not None:
                    report_overload(refused)
                state.prepare_for_next_attempt()
                yield Sleep(todo)

    # Failover: each round of retries tries the available servers, in order

    def _whole_anywhere(self, call: Call) -> Flow[Response]:
        return (yield from self._anywhere(call, lambda flow, here: flow._whole(here), opening_stream=False))  # noqa: SLF001 - the same class

    def _begun_anywhere(self, call: Call) -> Flow[tuple[Any, Any, Any]]:
        return (yield from self._anywhere(call, lambda flow, here: flow._begun_for_sure(here), opening_stream=True))  # noqa: SLF001 - the same class

    def _anywhere(
        self, call: Call, attempt: Callable[[RequestFlow, Call], Flow[Answer]], *, opening_stream: bool
    ) -> Flow[Answer]:
        """Try the servers in turn until one answers. If none does, raise one error that reports all failures."""
        failures: list[tuple[OtherServer | None, XinferenceError]] = []
        for server in self._servers.in_turn() if self._servers is not None else ():
            other = server.target
            try:
                answer: Answer
                if other is None:
                    answer = yield from attempt(self, call)
                else:
                    there = Call(other.requests.settings, call.request, call.budget)
                    answer = yield Via(other, attempt(other.requests, there))
            except XinferenceError as failure:
                if not moves_on(failure, preferred=other is None, opening_stream=opening_stream):
                    raise
                if not isinstance(failure, XinferenceModelNotFoundError):  # it serves other models
                    server.failed()
                failures.append((other, failure))
            else:
                server.answered()
                return answer
        for other, not_found in failures:
            if other is not None and isinstance(not_found, XinferenceModelNotFoundError):
                # The caller explains the error with the first server's running models. A fallback's are read only here.
                look = other.requests.explain(not_found, call.request, call.budget)
                found: XinferenceError = yield Via(other, look)
                if isinstance(found, XinferenceModelNotFoundError) and found.known_as is not None:
                    raise found from not_found
        raise worst_of([error for _, error in failures])

    def _begun_for_sure(self, call: Call) -> Flow[tuple[Any, Any, Any]]:
        """Open a stream and read its first event. A stream without an event may go to another server."""
        stream, chunks, events = yield from self._begun(call)
        if not events.has_begun and not events.done:
            stream.close()
            raise cut_short(call.url, "before its first event", request_id=call.request_id)
        return stream, chunks, events

    def _whole(self, call: Call) -> Flow[Response]:
        response: Response = yield from self._attempt(Send, call)
        if response.status >= 300:
            raise error_from_response(call.request, response, time.time())
        return response

    def _begun(self, call: Call) -> Flow[tuple[Any, Any, Any]]:
        stream = yield from self._attempt(OpenStream, call)
        begun = False
        try:
            if stream.status != 200:
                raise error_from_response(call.request, (yield ReadRest(stream)), time.time())
            of_events = call.request.stream_of == "events"
            if not (is_event_stream if of_events else is_sound)(stream.headers):
                raise not_a_stream(call.request, (yield ReadRest(stream)))
            events: Any = (
                StreamEvents(call.request, call.url, stream.request_id)
                if of_events
                else SoundStream(call.url, stream.request_id)
            )
            chunks = yield ReadFirstEvent(stream, events)
            begun = True
        finally:
            if not begun:
                stream.close()
        return stream, chunks, events

    def _attempt(self, exchange: type[Send | OpenStream], call: Call) -> Flow[Any]:
        """Perform one exchange with one permit. It is sent again after a stale socket or an expired token.

        A stale socket is a pooled one that the server has closed (after 5 idle seconds). Its request was never
        read, so it is sent again immediately, without using up a retry.
        """
        while True:
            gate = self._authentication.gate(call)
            permit = gate.enter_now() or (yield EnterGate(gate, call.read_timeout()))
            try:
                answer = yield exchange(call, permit.authorization)
                if answer.status != 401:
                    permit.answered(answer.status)
                    return answer
                if exchange is OpenStream:
                    answer = yield from _closing_rest(answer)
                self._authentication.refuse(call, permit, answer)
            except XinferenceConnectionError as failure:
                if call.resent or not failure.stale_socket:
                    raise
                call.resent = True
            finally:
                permit.undecided()  # no effect if a response has settled it

    def _raise_explained(self, failure: XinferenceError, call: Call) -> Flow[None]:
        self.learn_from(failure, call)
        better = yield from self.explain(failure, call.request, call.budget)
        if better is failure:
            raise failure
        raise better from failure


def _closing_rest(stream: Any) -> Flow[Response]:
    try:
        rest: Response = yield ReadRest(stream)
        return rest
    finally:
        stream.close()


def _nothing() -> None:
    """Do nothing: there is no limit and so no slot."""
