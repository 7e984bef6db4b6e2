"""Launching and ending models: flows that start a launch, follow it, and end a model."""

from __future__ import annotations

import time
from collections.abc import Callable

from xinference_bridge.client.description_cache import DescriptionCache
from xinference_bridge.client.flow import Flow, Sleep
from xinference_bridge.client.request_flow import RequestFlow
from xinference_bridge.client.transport.call import Budget
from xinference_bridge.connection_settings import CallOptions, ConnectionSettings
from xinference_bridge.errors import (
    XinferenceBadRequestError,
    XinferenceError,
    XinferenceModelNotFoundError,
    XinferencePermissionError,
    XinferenceServerError,
    XinferenceTimeoutError,
)
from xinference_bridge.protocol.http import Request, Response
from xinference_bridge.protocol.launch import (
    LaunchProgress,
    ModelStatus,
    instances_request,
    launched_info,
    progress_from_response,
    progress_request,
    statuses_from_response,
    terminate_request,
    uid_from_launch,
)
from xinference_bridge.protocol.model_info import ModelInfo, describe_request, model_from_response

_POLL_SECONDS = 1.0
#: A launch must not be sent twice: the second one would be refused, or start another model.
_ONCE = CallOptions(max_retries=0)

OnProgress = Callable[[LaunchProgress], object]


class Launching:
    """Starts, follows and ends models on one server; it takes a login whose user may write models."""

    def __init__(self, settings: ConnectionSettings, requests: RequestFlow, descriptions: DescriptionCache) -> None:
        self._settings = settings
        self._requests = requests
        self._descriptions = descriptions

    def launch(self, request: Request, timeout: float | None, on_progress: OnProgress | None = None) -> Flow[ModelInfo]:
        """Start a launch and follow it; without a timeout, return what is known at once."""
        try:
            uid = uid_from_launch((yield from self._send(request, _ONCE)))
        except XinferenceBadRequestError as error:
            taken = (request.json or {}).get("model_uid")
            status = (yield from self._status_of(str(taken))) if taken is not None else None
            if status is None or status.failed:
                raise
            raise error.with_note(
                f"A model with the UID {taken!r} is {status.status}: end it first with "
                f"connection.terminate({taken!r}), or give another uid=."
            ) from None
        if timeout is None:
            return launched_info(uid, request)
        return (yield from self.follow(uid, timeout, on_progress))

    def follow(self, uid: str, timeout: float, on_progress: OnProgress | None = None) -> Flow[ModelInfo]:
        """Wait until a launch has ended, and return the model's description.

        Readiness is read from the instances: a model that is ready still reports a progress of 0.0, and a failure that
        came later than the answer to the launch is told nowhere else (4.1.0).
        """
        until = time.monotonic() + timeout
        told: LaunchProgress | None = None
        while True:
            status = yield from self._status_of(uid)
            if on_progress is not None:
                progress = yield from self.progress(uid, status)
                if progress != told:
                    on_progress(progress)
                    told = progress
            if status is not None and status.failed:
                raise XinferenceServerError(_failed(uid, status), url=self._settings.server_url, model_uid=uid)
            if status is not None and status.ready:
                response = yield from self._send(describe_request(uid))
                return self._descriptions.keep(model_from_response(response, uid), uid)
            if time.monotonic() + _POLL_SECONDS >= until:
                stage = status.status if status is not None else "not listed"
                msg = (
                    f"Model {uid!r} was not ready within {timeout:g} s (its status: {stage}). It is still loading: "
                    f"wait with connection.wait_until_ready({uid!r}), or end it with connection.terminate({uid!r})."
                )
                raise XinferenceTimeoutError(msg, url=self._settings.server_url, model_uid=uid)
            yield Sleep(_POLL_SECONDS)

    def progress(self, uid: str, status: ModelStatus | None = None) -> Flow[LaunchProgress]:
        """Return how far a launch is."""
        progress = progress_from_response((yield from self._send(progress_request(uid))), uid)
        known = status if status is not None else (yield from self._status_of(uid))
        if known is None:
            return progress
        fraction = 1.0 if known.ready else progress.fraction
        return LaunchProgress(uid, progress.stage, fraction, known.status)

    def statuses(self) -> Flow[list[ModelStatus]]:
        """Return the state of every model that was launched."""
        return statuses_from_response((yield from self._send(instances_request())))

    def terminate(self, uid: str) -> Flow[None]:
        """End a model and forget its description."""
        try:
            yield from self._send(terminate_request(uid), _ONCE)
        except (XinferenceBadRequestError, XinferenceModelNotFoundError) as error:
            # The list of running models, by which such a refusal is explained, holds neither kind.
            status = yield from self._status_of(uid)
            if status is None or status.ready:
                raise
            raise _not_ended(uid, status, error) from None
        self._descriptions.forget(uid)

    def _status_of(self, uid: str) -> Flow[ModelStatus | None]:
        statuses = statuses_from_response((yield from self._send(instances_request(uid))))
        return next((status for status in statuses if status.uid == uid), None)

    def _send(self, request: Request, options: CallOptions | None = None) -> Flow[Response]:
        budget = Budget.of(self._settings, options) if options is not None else Budget.of(self._settings)
        try:
            return (yield from self._requests.send(request, budget))
        except XinferencePermissionError as error:
            raise error.with_note(
                "Launching, ending and watching models takes a login: an API key may only use them. Give username= and "
                "password= of a user with the permission models:write."
            ) from None


def _failed(uid: str, status: ModelStatus) -> str:
    return f"Launching {uid!r} failed: {status.error or 'the server gives no reason; see its log'}"


def _not_ended(uid: str, status: ModelStatus, refusal: XinferenceError) -> XinferenceBadRequestError:
    """What a model that is not ready is refused with: 4.1.0 ends none that is loading, and it comes up all the same."""
    if status.failed:
        msg = (
            f"Model {uid!r} does not run: its launch failed ({status.error or 'the server gives no reason'}). There is "
            "nothing to end; a new launch under the same UID takes its place."
        )
    else:
        msg = (
            f"Model {uid!r} cannot be ended yet, its status is {status.status}: the server ends a model once it is "
            f"ready. Wait with connection.wait_until_ready({uid!r}), then end it."
        )
    return XinferenceBadRequestError(msg, url=refusal.url, model_uid=uid, status_code=refusal.status_code)
