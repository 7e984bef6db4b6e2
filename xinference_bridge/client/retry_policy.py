"""What is retried, and when. Pure: tenacity has the loop, and `request_flow` waits between attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenacity import RetryCallState, Retrying, wait_exponential, wait_random

from xinference_bridge.errors import XinferenceError

if TYPE_CHECKING:
    from xinference_bridge.client.transport.call import Budget

#: With a longer `Retry-After`, the error is raised immediately, with the seconds in `retry_after`.
LONGEST_WAIT = 60.0

#: A dead replica still gets requests until the supervisor notices that its worker is gone: 35 s by default (10 s of
#: silence, then five checks 5 s apart). This many attempts, each after twice the wait, outlast that. Usually another
#: replica answers before.
RETRIES_OF_REPLICAS = 9

_backoff = wait_exponential(multiplier=0.2, max=20.0) + wait_random(0.0, 0.2)


def retrying(budget: Budget) -> Retrying:
    """Return tenacity's controller for the attempts of one call.

    Retried: no connection, a connection closed before any answer, 429 from load, 502/503/504, a loading model.
    Never: other 4xx, validation errors, an invalid response, a stream whose first event has arrived.
    """

    def stop(state: RetryCallState) -> bool:
        wait = state.upcoming_sleep
        return state.attempt_number > _retries(budget, state) or wait > LONGEST_WAIT * 1.1 or _too_late(budget, wait)

    return Retrying(retry=_may_pass, wait=_wait, stop=stop, reraise=True)


def failure_of(state: RetryCallState) -> XinferenceError | None:
    """Return the error of the last attempt."""
    failure = state.outcome.exception() if state.outcome is not None else None
    return failure if isinstance(failure, XinferenceError) else None


def _retries(budget: Budget, state: RetryCallState) -> int:
    if getattr(failure_of(state), "replica_gone", False) and budget.max_retries:
        return max(budget.max_retries, RETRIES_OF_REPLICAS)
    return budget.max_retries


def _may_pass(state: RetryCallState) -> bool:
    failure = failure_of(state)
    return failure is not None and failure.retryable


def _wait(state: RetryCallState) -> float:
    failure = failure_of(state)
    asked = failure.retry_after if failure is not None else None
    # Slightly longer than requested, so that callers with the same `Retry-After` do not retry at the same moment.
    return max(_backoff(state), (asked or 0.0) + _backoff(state) * 0.1 if asked else 0.0)


def _too_late(budget: Budget, seconds: float) -> bool:
    left = budget.left()
    return left is not None and left <= seconds
