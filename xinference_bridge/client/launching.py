"""Flows that launch models, follow the launch and terminate models."""

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
#: A launch must not be sent twice: the second request would be rejected or start another model.
_ONCE = CallOptions(max_retries=0)

OnProgress = Callable[[LaunchProgress], object]


class Launching:
    """Launches, follows and terminates models on one server. Requires a login with the permission models:write."""

    def __init__(self, settings: ConnectionSettings, requests: RequestFlow, descriptions: DescriptionCache) -> None:
        self._settings = settings
        self._requests = requests
        self._descriptions = descriptions

    def launch(self, request: Request, timeout: float | None, on_progress: OnProgress | None = None) -> Flow[ModelInfo]:
        """Start a launch and follow it. Without a timeout, return immediately."""
        try:
            uid = uid_from_launch((yield from self._send(request, _ONCE)))
        except XinferenceBadRequestError as error:
            taken = (request.json or {}).get("model_uid")
            status = (yield from self._status_of(str(taken))) if taken is not None else None
            if status is None or status.failed:
                raise
            raise error.with_note(
                f"A model with the UID {taken!r} is {status.status}: terminate it first with "
                f"connection.terminate({taken!r}), or pass another uid=."
            ) from None
        if timeout is None:
            return launched_info(uid, request)
        return (yield from self.follow(uid, timeout, on_progress))

    def follow(self, uid: str, timeout: float, on_progress: OnProgress | None = None) -> Flow[ModelInfo]:
        """Wait until a launch has finished and return the model's description.

        Readiness comes from the instances: a model that is ready still reports a progress of 0.0, and a failure that
        came after the response to the launch is reported nowhere else (4.1.0).
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
        """Return the progress of a launch."""
        progress = progress_from_response((yield from self._send(progress_request(uid))), uid)
        known = status if status is not None else (yield from self._status_of(uid))
        if known is None:
            return progress
        fraction = 1.0 if known.ready else progress.fraction
        return LaunchProgress(uid, progress.stage, fraction, known.status)

    def statuses(self) -> Flow[list[ModelStatus]]:
        """Return the state of every launched model."""
        return statuses_from_response((yield from self._send(instances_request())))

    def terminate(self, uid: str) -> Flow[None]:
        """Terminate a model and drop its description."""
        try:
            yield from self._send(terminate_request(uid), _ONCE)
        except (XinferenceBadRequestError, XinferenceModelNotFoundError) as error:
            # A rejection is explained with the list of running models, which contains neither kind.
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
    return f"Launching {uid!r} failed: {status.error or 'the server gave no reason; see its log'}"


def _not_ended(uid: str, status: ModelStatus, refusal: XinferenceError) -> XinferenceBadRequestError:
    """Return the error for a model that is not ready. 4.1.0 cannot terminate it, and it still becomes ready."""
    if status.failed:
        msg = (
            f"Model {uid!r} is not running: its launch failed ({status.error or 'the server gave no reason'}). There "
            "is nothing to terminate; a new launch with the same UID replaces it."
        )
    else:
        msg = (
            f"Model {uid!r} cannot be terminated yet, its status is {status.status}: the server only terminates a "
            f"model that is ready. Wait with connection.wait_until_ready({uid!r}), then terminate it."
        )
    return XinferenceBadRequestError(msg, url=refusal.url, model_uid=uid, status_code=refusal.status_code)
