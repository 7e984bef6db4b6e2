"""Flows for the running models: list, find, describe, check and wait."""

from __future__ import annotations

import time

from xinference_bridge.client.description_cache import DescriptionCache
from xinference_bridge.client.flow import Acquire, Flow, Sleep
from xinference_bridge.client.request_flow import RequestFlow
from xinference_bridge.client.transport.call import Budget, Call
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions, ConnectionSettings
from xinference_bridge.errors import (
    XinferenceAuthenticationError,
    XinferenceConnectionError,
    XinferenceError,
    XinferenceModelLoadingError,
    XinferenceModelNotFoundError,
    XinferencePermissionError,
    XinferenceServerError,
    XinferenceTimeoutError,
)
from xinference_bridge.protocol.model_info import (
    LIST_MODELS,
    ModelInfo,
    describe_request,
    find_model,
    model_from_response,
    models_from_response,
    not_found,
    wrong_type,
)
from xinference_bridge.protocol.server import CLUSTER_VERSION, version_from_response
from xinference_bridge.protocol.smallest_use import smallest_request

_POLL_SECONDS = 0.5

_NOT_UP_YET = (
    XinferenceModelNotFoundError,
    XinferenceModelLoadingError,
    XinferenceConnectionError,
    XinferenceTimeoutError,
    XinferenceServerError,
)


class RunningModels:
    """The running models of a server, shared by all users of its connection."""

    def __init__(self, settings: ConnectionSettings, requests: RequestFlow, descriptions: DescriptionCache) -> None:
        self._settings = settings
        self._requests = requests
        self._descriptions = descriptions

    def models(self, options: CallOptions = DEFAULT_OPTIONS) -> Flow[list[ModelInfo]]:
        """Return the models that are running now, in the server's order."""
        response = yield from self._requests.send(LIST_MODELS, Budget.of(self._settings, options))
        return self._descriptions.keep_all(models_from_response(response))

    def model(self, uid_or_name: str) -> Flow[ModelInfo]:
        """Return the running model with this UID or unique name."""
        return find_model(uid_or_name, (yield from self.models()), self._settings.server_url)

    def server_version(self, options: CallOptions = DEFAULT_OPTIONS) -> Flow[str | None]:
        """Return the server's version, or None without permission: a key gets a 403, no credential a 401."""
        try:
            response = yield from self._requests.send(CLUSTER_VERSION, Budget.of(self._settings, options))
        except (XinferencePermissionError, XinferenceAuthenticationError):
            return None
        return version_from_response(response)

    def known(self, uid: str) -> ModelInfo | None:
        """Return the cached description of this model. Sends no request."""
        return self._descriptions.get(uid)

    def uid_of(self, uid_or_name: str) -> str:
        """Return the cached UID of a unique model name, or else the same string. Sends no request."""
        return self._descriptions.uid_of(uid_or_name)

    def learn_name(self, name: str, error: XinferenceModelNotFoundError) -> str | None:
        """Return and store the UID of the model with this name, as the diagnosis found it."""
        if error.known_as is not None:
            self._descriptions.keep_name(name, error.known_as)
        return error.known_as

    def describe(self, uid: str, budget: Budget) -> Flow[ModelInfo]:
        """Return the model's description. It is fetched once and cached until a response says that the model is gone.

        If many callers need it at the same time (in the process, or in one event loop), one fetches it and the others
        wait.
        """
        known = self._descriptions.get(uid)
        if known is not None:
            return known
        request = describe_request(uid)
        release = yield Acquire(("describe", uid), 1, Call(self._settings, request, budget))
        try:
            known = self._descriptions.get(uid)
            if known is None:
                response = yield from self._requests.send(request, budget)
                known = self._descriptions.keep(model_from_response(response, uid), uid)
            return known
        finally:
            release()

    def check(self, uid_or_name: str, ability: str | None = None, *, try_it: bool = False) -> Flow[ModelInfo]:
        """Connect, authenticate, find the model, check its type, and with `try_it` send one small request."""
        running = yield from self.models()
        info = self._matched(uid_or_name, running, ability)
        if try_it:
            yield from self._requests.send(smallest_request(info), Budget.of(self._settings))
        return info

    def _matched(self, uid_or_name: str, running: list[ModelInfo], ability: str | None) -> ModelInfo:
        server_url = self._settings.server_url
        try:
            info = find_model(uid_or_name, running, server_url)
        except XinferenceModelNotFoundError:
            if ability is None or any(model.name == uid_or_name for model in running):
                raise
            raise not_found(uid_or_name, running, server_url, ability) from None
        if ability is not None and not info.can(ability):
            raise wrong_type(info, running, server_url, ability)
        return info

    def wait_until_ready(self, uid: str, timeout: float) -> Flow[ModelInfo]:
        """Poll the model's description, because the server caches the 404s of inference for 10 s."""
        request = describe_request(uid)
        until = time.monotonic() + timeout
        while True:
            try:
                # Not `send`, which would diagnose every failure with another request.
                response = yield from self._requests.send_once(request, self._poll(until))
                return self._descriptions.keep(model_from_response(response, uid), uid)
            except _NOT_UP_YET as error:
                failure: XinferenceError = error
            if time.monotonic() + _POLL_SECONDS >= until:
                explained = yield from self._requests.explain(failure, request, Budget.of(self._settings))
                raise _not_ready(uid, timeout, explained) from failure
            yield Sleep(_POLL_SECONDS)

    def _poll(self, until: float) -> Budget:
        left = max(0.1, until - time.monotonic())
        return Budget.of(self._settings, CallOptions(timeout=10.0, connect_timeout=2.0, deadline=left, max_retries=0))


def _not_ready(uid: str, timeout: float, last: XinferenceError) -> XinferenceTimeoutError:
    msg = f"Model {uid!r} was not ready within {timeout:g} s. Last answer: {last.message}"
    return XinferenceTimeoutError(msg, url=last.url, model_uid=uid, status_code=last.status_code)
