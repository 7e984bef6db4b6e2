"""What is tried again, and when; the loop itself is tenacity's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import AsyncRetrying, RetryCallState, Retrying, wait_exponential, wait_random

from xinference_bridge.errors import XinferenceError, XinferenceTimeoutError
from xinference_bridge.pace import tell_of_overload

if TYPE_CHECKING:
    from xinference_bridge.call import Call

Result = TypeVar("Result")

#: A server that asks for more is not waited for: the caller is told, and `retry_after` says how long it would take.
LONGEST_WAIT = 60.0

#: A dead replica keeps its turn until the supervisor misses its worker: 35 s by default (10 s of silence, then five
#: looks 5 s apart). So many tries, each after twice the wait, outlast that; mostly another replica answers long before.
RETRIES_OF_REPLICAS = 9

_backoff = wait_exponential(multiplier=0.2, max=20.0) + wait_random(0.0, 0.2)


def with_retries(send: Callable[[Call], Result], call: Call) -> Result:
    """What `send(call)` gives, tried as often as the call allows; raises its last failure."""
    try:
        return send(call)
    except XinferenceError as failure:
        if not failure.retryable:
            raise
        failures = [failure]

    def send_again(call: Call) -> Result:
        if failures:
            raise failures.pop()
        return send(call)

    # Only now: what tenacity does around a call that succeeds is a third of an awaited call's time. Its first attempt
    # is the one that has failed already, so that its counting and waiting are as if it had been there from the start.
    return Retrying(**policy(call))(send_again, call)


async def awith_retries(send: Callable[[Call], Awaitable[Result]], call: Call) -> Result:
    """Same as `with_retries`, but awaited."""
    try:
        return await send(call)
    except XinferenceError as failure:
        if not failure.retryable:
            raise
        failures = [failure]

    async def send_again(call: Call) -> Result:
        if failures:
            raise failures.pop()
        return await send(call)

    return await AsyncRetrying(**policy(call))(send_again, call)


def policy(call: Call) -> dict[str, Any]:
    """The arguments for tenacity's `Retrying` and `AsyncRetrying`: one policy for both.

    Tried again: no connection, a connection closed before any answer, 429 from load, 502/503/504, a loading model.
    Never: other 4xx, validation errors, a broken answer, a stream whose first event has arrived.
    """

    def stop(state: RetryCallState) -> bool:
        wait = state.upcoming_sleep
        return state.attempt_number > _retries(call, state) or wait > LONGEST_WAIT * 1.1 or _too_late(call, wait)

    return {"retry": _may_pass, "wait": _wait, "stop": stop, "before_sleep": _tell, "reraise": True}


def _retries(call: Call, state: RetryCallState) -> int:
    failure = state.outcome.exception() if state.outcome is not None else None
    if getattr(failure, "replica_gone", False) and call.max_retries:
        return max(call.max_retries, RETRIES_OF_REPLICAS)
    return call.max_retries


def _tell(state: RetryCallState) -> None:
    failure = state.outcome.exception() if state.outcome is not None else None
    if isinstance(failure, XinferenceError):
        tell_of_overload(failure)


def _may_pass(state: RetryCallState) -> bool:
    failure = state.outcome.exception() if state.outcome is not None else None
    return isinstance(failure, XinferenceError) and failure.retryable


def _wait(state: RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome is not None else None
    asked = failure.retry_after if isinstance(failure, XinferenceError) else None
    # A little beyond what the server asked, so that callers who were told the same do not return together.
    return max(_backoff(state), (asked or 0.0) + _backoff(state) * 0.1 if asked else 0.0)


def _too_late(call: Call, seconds: float) -> bool:
    try:
        left = call.remaining()
    except XinferenceTimeoutError:
        return True
    return left is not None and left <= seconds
