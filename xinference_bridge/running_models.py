"""Which models run on a connection's server: asked, found, waited for, and kept. Awaited twins differ by `await`."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from xinference_bridge import endpoints
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
from xinference_bridge.models import ModelInfo, find_model, not_found, wrong_type
from xinference_bridge.wire import DEFAULT_OPTIONS, CallOptions, Response

if TYPE_CHECKING:
    from xinference_bridge.client import Client

#: After these a model may come back on another engine: what was kept of it is forgotten.
_GONE = (XinferenceModelNotFoundError, XinferenceModelLoadingError, XinferenceConnectionError, XinferenceServerError)
_POLL_SECONDS = 0.5


class RunningModels:
    """The one view of a server's models that everybody shares who shares its connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._descriptions: dict[str, ModelInfo] = {}
        self._asking: dict[str, threading.Lock] = {}
        self._aasking: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = WeakKeyDictionary()

    def learn_from(self, error: XinferenceError, uid: str | None) -> None:
        """Forget a model that is gone or was restarted: it may come back on another engine."""
        if uid is not None and isinstance(error, _GONE):
            self._descriptions.pop(uid, None)

    def models(self, options: CallOptions = DEFAULT_OPTIONS) -> list[ModelInfo]:
        """The models that run now."""
        return self._keep(endpoints.models_from_response(self._client.send(endpoints.LIST_MODELS, options)))

    async def amodels(self, options: CallOptions = DEFAULT_OPTIONS) -> list[ModelInfo]:
        """Same as `models`, but awaited."""
        return self._keep(endpoints.models_from_response(await self._client.asend(endpoints.LIST_MODELS, options)))

    def _keep(self, models: list[ModelInfo]) -> list[ModelInfo]:
        self._descriptions = {model.uid: model for model in models}
        return models

    def model(self, uid_or_name: str) -> ModelInfo:
        """The running model with this UID or unique name."""
        return find_model(uid_or_name, self.models(), self._client.connection.server_url)

    async def amodel(self, uid_or_name: str) -> ModelInfo:
        """Same as `model`, but awaited."""
        return find_model(uid_or_name, await self.amodels(), self._client.connection.server_url)

    def server_version(self, options: CallOptions = DEFAULT_OPTIONS) -> str | None:
        """The server's version, or None where it is not told: to a key it answers 403, without a credential 401."""
        try:
            return endpoints.version_from_response(self._client.send(endpoints.CLUSTER_VERSION, options))
        except (XinferencePermissionError, XinferenceAuthenticationError):
            return None

    def known(self, uid: str) -> ModelInfo | None:
        """What was already learnt of this model, without asking."""
        return self._descriptions.get(uid)

    def describe(self, uid: str) -> ModelInfo:
        """The model's description: asked once, and kept until an answer says that the model is gone.

        Of many who want it at the same moment one asks, and the others wait for the answer.
        """
        known = self._descriptions.get(uid)
        if known is None:
            with self._asking.setdefault(uid, threading.Lock()):
                known = self._descriptions.get(uid)
                if known is None:
                    request = endpoints.describe_request(uid)
                    known = self._descriptions[uid] = endpoints.model_from_response(self._client.send(request), uid)
        return known

    async def adescribe(self, uid: str) -> ModelInfo:
        """Same as `describe`, but awaited; the others are those of the same event loop."""
        known = self._descriptions.get(uid)
        if known is None:
            locks = self._aasking.setdefault(asyncio.get_running_loop(), {})
            async with locks.setdefault(uid, asyncio.Lock()):
                known = self._descriptions.get(uid)
                if known is None:
                    request = endpoints.describe_request(uid)
                    response = await self._client.asend(request)
                    known = self._descriptions[uid] = endpoints.model_from_response(response, uid)
        return known

    def check(self, uid_or_name: str, ability: str | None = None, *, try_it: bool = False) -> ModelInfo:
        """Reach, authenticate, find, match the type, and with `try_it` ask one tiny thing."""
        running = self.models()
        info = self._matched(uid_or_name, running, ability)
        if try_it:
            self._client.send(endpoints.tiny_request(info))
        return info

    async def acheck(self, uid_or_name: str, ability: str | None = None, *, try_it: bool = False) -> ModelInfo:
        """Same as `check`, but awaited."""
        running = await self.amodels()
        info = self._matched(uid_or_name, running, ability)
        if try_it:
            await self._client.asend(endpoints.tiny_request(info))
        return info

    def _matched(self, uid_or_name: str, running: list[ModelInfo], ability: str | None) -> ModelInfo:
        server_url = self._client.connection.server_url
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
                return self._fresh_description(self._client.send_once(self._client.call(request, _poll(until))), uid)
            except _NOT_UP_YET as error:
                if time.monotonic() + _POLL_SECONDS >= until:
                    raise _not_ready(uid, timeout, self._client.explain(error, request)) from error
            time.sleep(_POLL_SECONDS)

    async def await_until_ready(self, uid: str, timeout: float) -> ModelInfo:
        """Same as `wait_until_ready`, but awaited."""
        request = endpoints.describe_request(uid)
        until = time.monotonic() + timeout
        while True:
            try:
                return self._fresh_description(
                    await self._client.asend_once(self._client.call(request, _poll(until))), uid
                )
            except _NOT_UP_YET as error:
                if time.monotonic() + _POLL_SECONDS >= until:
                    raise _not_ready(uid, timeout, await self._client.aexplain(error, request)) from error
            await asyncio.sleep(_POLL_SECONDS)

    def _fresh_description(self, response: Response, uid: str) -> ModelInfo:
        info = self._descriptions[uid] = endpoints.model_from_response(response, uid)
        return info


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
