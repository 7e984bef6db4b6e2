"""Checks of everything between a program and its model, step by step. Prints nothing.

Each failed step says what to do next. After a failure, the remaining steps are skipped. A credential is sent once: at
most one of the ten failed attempts after which the server bans the IP address.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from xinference_bridge.cli import diagnosis
from xinference_bridge.cli.context_probe import measure_context, why_not_measured
from xinference_bridge.cli.first_answer import ask_one_thing
from xinference_bridge.cli.network_checks import Reach, look_within
from xinference_bridge.cli.option_names import with_option_names
from xinference_bridge.cli.options import Common
from xinference_bridge.client.transport import container
from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.connection_settings import DEFAULT_SERVER_URL, CallOptions
from xinference_bridge.environment import proxy_from_environment
from xinference_bridge.errors import (
    XinferenceAuthenticationError,
    XinferenceConfigurationError,
    XinferenceConnectionError,
    XinferenceError,
    XinferenceModelNotFoundError,
    XinferencePermissionError,
    XinferenceTimeoutError,
)
from xinference_bridge.protocol.connection_errors import cannot_connect
from xinference_bridge.protocol.http import Request
from xinference_bridge.protocol.model_info import ModelInfo, find_model
from xinference_bridge.protocol.server import AUTH_NEEDED, CLUSTER_VERSION

Status: TypeAlias = Literal["ok", "warning", "failed", "skipped"]

_STATUS = Request("GET", "/status", anonymous=True)
_DEFAULT_PORT = urlsplit(DEFAULT_SERVER_URL).port or 9997
#: A model that was just launched may need a long time for its first token.
_TRY_SECONDS = 60.0
#: Whisper takes more than a minute for a second of silence on a CPU, and a diffusion model for its smallest image.
_TRY_MEDIA_SECONDS = 300.0
#: A prompt as long as the context, on a CPU.
_LONG_PROMPT_SECONDS = 600.0
_MOST_LISTED = 8


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one check: what was found, and what to do next. `facts` go into the JSON report."""

    name: str
    status: Status
    detail: str
    next_step: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class Examination:
    """A run of all checks: the settings as given, and what the checks have found so far."""

    def __init__(
        self, common: Common, model: str | None = None, reach: Reach | None = None, *, context: bool = False
    ) -> None:
        self._common = common
        self._measures_context = context
        self._wanted = model
        self._reach = reach if reach is not None else Reach()
        self._connection = XinferenceConnection.model_construct()
        #: `--timeout` limits every step, so that a hanging server is reported in time.
        self._seconds: float | None = common.stated.get("timeout")
        self._look = look_within(self._seconds)
        self._auth = False
        self._running: list[ModelInfo] | None = None
        self._model = ModelInfo("", "", "")

    @property
    def server_url(self) -> str | None:
        """The URL that is checked; None if the given one is invalid."""
        return self._connection.server_url or None

    def steps(self) -> Iterator[Step]:
        """Yield each step when it is done, from the network up to the model."""
        stopped_by = None
        for name, look in self._plan():
            if stopped_by is not None:
                yield Step(name, "skipped", f"skipped, because of: {stopped_by}")
                continue
            try:
                step = look(name)
            except XinferenceError as error:
                step = _failed(name, error)
            if step.status == "failed":
                stopped_by = name
            yield step

    def _plan(self) -> tuple[tuple[str, Callable[[str], Step]], ...]:
        return (
            ("URL", self._url),
            ("host", self._host),
            ("port", self._port),
            ("Xinference", self._xinference),
            ("authentication", self._authentication),
            ("credential", self._credential),
            ("server version", self._version),
            ("models running", self._models),
            ("model", self._found),
            ("type and engine", self._type),
            ("enforced", self._enforced),
            ("answer", self._answer),
            *((("context", self._context),) if self._measures_context else ()),
        )

    # Reaching the server

    def _url(self, name: str) -> Step:
        origin = self._common.origin("server_url")
        try:
            self._connection = self._common.build()
        except XinferenceConfigurationError as error:
            self._connection = XinferenceConnection.model_construct(server_url="")
            return _failed(name, error)
        url = self._connection.server_url
        return Step(name, "ok", f"{url}, from {origin}", facts={"server_url": url, "origin": origin})

    def _host(self, name: str) -> Step:
        host, port = self._address()
        if (proxy := self._proxy()) is not None:
            return Step(name, "skipped", f"resolved by the proxy {proxy}")
        try:
            addresses = self._reach.resolve(host, port)
        except OSError as error:
            return Step(
                name,
                "failed",
                f"cannot resolve the host name {host!r} ({error.strerror or error})",
                "Correct the host in --server-url. The name of a Docker service resolves only in containers on "
                "the same network.",
            )
        is_ = "an IP address" if addresses == [host] else ", ".join(addresses[:4])
        return Step(name, "ok", f"{host} is {is_}", facts={"addresses": addresses})

    def _port(self, name: str) -> Step:
        host, port = self._address()
        if self._proxy() is not None:
            return Step(name, "skipped", "checked by the proxy")
        seconds = self._connection.connect_timeout or 10.0
        try:
            took = self._reach.open_port(host, port, seconds)
        except OSError as error:
            timed_out = isinstance(error, TimeoutError)
            why = f"no connection within {seconds:g} s" if timed_out else (error.strerror or str(error))
            step = _failed(
                name, cannot_connect(self._connection.server_url, why, in_container=container.inside_container())
            )
            return self._with_neighbour(step)
        return Step(name, "ok", f"{port} is open ({took:.1f} ms)", facts={"port": port, "connect_ms": round(took, 2)})

    def _xinference(self, name: str) -> Step:
        url = self._connection.server_url
        try:
            data = self._connection.client.send(AUTH_NEEDED, self._look).json()
        except (XinferenceConfigurationError, XinferencePermissionError):
            raise  # a redirect, a forbidden address: these errors already say what to do
        except (XinferenceConnectionError, XinferenceTimeoutError) as error:
            return _failed(name, error)  # TLS, a server that hangs or restarts: it has not answered as another one
        except XinferenceError as error:
            return self._not_xinference(name, with_option_names(error.message))
        if not isinstance(data, dict) or not isinstance(data.get("auth"), bool):
            return self._not_xinference(name, f"{url}/v1/cluster/auth returned something else")
        self._auth = data["auth"]
        return Step(name, "ok", f"a Xinference server answers at {url}{self._uptime()}")

    def _not_xinference(self, name: str, why: str) -> Step:
        step = Step(
            name,
            "failed",
            f"the server at {self._connection.server_url} is not Xinference: {why}",
            "Check the port. `xinference-local` prints its address when it starts; pass that as --server-url.",
        )
        return self._with_neighbour(step)

    def _with_neighbour(self, step: Step) -> Step:
        """Return the failed step; if Xinference answers on its default port, the next step says so."""
        parts = urlsplit(self._connection.server_url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        usual = f"{parts.scheme}://{host}:{_DEFAULT_PORT}"
        if self._address()[1] == _DEFAULT_PORT or not self._reach.says_auth(usual):
            return step
        advice = f"The port is wrong: Xinference answers at {usual}. Use --server-url {usual}"
        return Step(step.name, "failed", step.detail, advice, {"answers_at": usual})

    def _uptime(self) -> str:
        try:
            data = self._connection.client.send(_STATUS, self._look).json()
        except XinferenceError:
            return ""  # a gateway may forward only /v1; the previous response was proof enough
        seconds = data.get("uptime") if isinstance(data, dict) else None
        workers = data.get("workers") if isinstance(data, dict) else None
        up = f", up for {diagnosis.duration(seconds)}" if isinstance(seconds, (int, float)) else ""
        count = len(workers) if isinstance(workers, dict) else 0
        return up + (f", {count} worker{'s' if count > 1 else ''}" if count else "")

    # The credential

    def _authentication(self, name: str) -> Step:
        facts = {"needed": self._auth}
        if not self._auth:
            return Step(name, "ok", "not required: this server has no accounts", facts=facts)
        if self._credential_given() is None:
            return Step(
                name,
                "failed",
                "required, but no credential was given (none was sent, so this does not count as a failed attempt)",
                "Set XINFERENCE_API_KEY or pass --api-key; or set XINFERENCE_USERNAME and XINFERENCE_PASSWORD.",
                facts,
            )
        return Step(name, "ok", "required, and a credential was given", facts=facts)

    def _credential(self, name: str) -> Step:
        given = self._credential_given()
        try:
            self._running = self._connection.client.run(self._connection.client.running.models(self._look))
        except XinferencePermissionError as error:
            if not self._auth or given is None or error.request_id is None:
                raise
            return Step(name, "ok", f"{given} is valid, but may not list the models", facts={"given": given})
        except XinferenceAuthenticationError as error:
            if given is None:
                raise
            return Step(
                name,
                "failed",
                f"the server rejected the {given} (401)",
                "Correct it: an administrator can list and create keys on the server's web page. This was one attempt; "
                "ten failed attempts within five minutes ban this IP address for an hour.",
                {"given": given, "status_code": error.status_code},
            )
        if given is None:
            return Step(name, "skipped", "none given, none required")
        if not self._auth:
            return Step(name, "skipped", f"none required; the server ignored the {given}")
        return Step(name, "ok", f"the server accepted the {given}", facts={"given": given})

    def _version(self, name: str) -> Step:
        try:
            data = self._connection.client.send(CLUSTER_VERSION, self._look).json()
        except XinferencePermissionError:
            return Step(name, "skipped", "only an administrator may request it")
        except XinferenceError as error:
            return Step(name, "skipped", f"the server does not report it: {error.message}")
        version = data.get("version") if isinstance(data, dict) else None
        if not version:
            return Step(name, "skipped", "the server does not report it")
        return Step(name, "ok", str(version), facts={"version": version})

    def _credential_given(self) -> str | None:
        """Describe the credential and where it comes from, without the credential itself."""
        if self._connection.api_key is not None:
            return f"API key from {self._common.origin('api_key')}"
        if self._connection.username is not None:
            return f"user {self._connection.username!r} with the password from {self._common.origin('password')}"
        return None

    # The model

    def _models(self, name: str) -> Step:
        running = self._running
        if running is None:
            return Step(name, "skipped", "this credential may not list models")
        url = self._connection.server_url
        if not running:
            advice = f"Launch one: `xinference launch -e {url} --model-name … --model-uid …`"
            return Step(name, "failed", "none", advice, {"models": []})
        listed = [f"{model.uid} ({model.type})" for model in running[:_MOST_LISTED]]
        more = [f"and {len(running) - _MOST_LISTED} more"] if len(running) > _MOST_LISTED else []
        uids = [model.uid for model in running]
        return Step(name, "ok", f"{len(running)}: {', '.join(listed + more)}", facts={"models": uids})

    def _found(self, name: str) -> Step:
        running = self._running
        if running is None and self._wanted is None:
            return Step(name, "failed", "no model was named", "Name one: --model UID")
        if self._wanted is None:
            self._model = next((model for model in running or [] if model.can("chat")), (running or [self._model])[0])
            others = "" if len(running or []) == 1 else "; use --model UID for another"
            return Step(name, "ok", f"{self._model.uid}, because no model was named{others}", facts=self._facts())
        if running is None:
            client = self._connection.client
            self._model = client.run(client.running.describe(self._wanted, client.budget(self._look)))
        else:
            try:
                self._model = find_model(self._wanted, running, self._connection.server_url)
            except XinferenceModelNotFoundError as error:
                return _failed(name, error)
        by = "UID" if self._model.uid == self._wanted else f"name; its UID is {self._model.uid!r}"
        return Step(name, "ok", f"{self._wanted} found by its {by}", facts=self._facts())

    def _type(self, name: str) -> Step:
        if self._model.type not in diagnosis.USABLE:
            return Step(
                name,
                "failed",
                f"a model of type {self._model.type}, which this package does not support",
                f"Choose a model of type {', '.join(diagnosis.USABLE)} with --model.",
            )
        return Step(name, "ok", diagnosis.described(self._model), facts={"engine": self._model.engine})

    def _enforced(self, name: str) -> Step:
        found = diagnosis.enforced(self._model)
        return Step(name, found.status, found.detail, found.next_step, found.facts)

    def _answer(self, name: str) -> Step:
        patience = _TRY_MEDIA_SECONDS if self._model.type in ("audio", "image") else _TRY_SECONDS
        options = self._look if self._seconds is not None else CallOptions(timeout=patience, max_retries=0)
        begun = time.perf_counter()
        what = ask_one_thing(self._connection, self._model, options)
        took = (time.perf_counter() - begun) * 1000
        return Step(name, "ok", f"{what} in {took:.0f} ms", facts={"latency_ms": round(took, 1)})

    def _context(self, name: str) -> Step:
        if (why := why_not_measured(self._model)) is not None:
            return Step(name, "skipped", why)
        options = self._look if self._seconds is not None else CallOptions(timeout=_LONG_PROMPT_SECONDS, max_retries=0)
        found = measure_context(self._connection, self._model, options)
        described = self._model.context_length
        facts = {"described": described, "answered": found.answered, "refused": found.refused, "slots": found.slots}
        if found.refused is None:
            return Step(name, "ok", f"one request may hold all of the {described} tokens", facts=facts)
        limit = described // found.slots if described and found.slots else found.answered
        divided = f": the engine divides {described} tokens among {found.slots} slots" if found.slots else ""
        return Step(
            name,
            "warning",
            f"one request may hold {limit} tokens, not {described}{divided}",
            f"State it where you build the model, context_length={limit} (LlamaIndex: context_window={limit}), or "
            "launch the model with n_parallel=1, so that one request has all of it.",
            facts,
        )

    def _facts(self) -> dict[str, Any]:
        return {"uid": self._model.uid, "name": self._model.name, "type": self._model.type}

    def _address(self) -> tuple[str, int]:
        parts = urlsplit(self._connection.server_url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    def _proxy(self) -> str | None:
        """Return the host and port of the proxy, without the password that its URL may contain."""
        url = self._connection.proxy or proxy_from_environment(self._connection.server_url)
        return None if url is None else urlsplit(url if "//" in url else f"//{url}").netloc.rpartition("@")[2]


def _failed(name: str, error: XinferenceError) -> Step:
    """Return the step for an error. The first sentence of its message is the problem, the others are the next step."""
    sentences = re.split(r"(?<=[^.][.?!]) (?=[A-Z`])", with_option_names(error.message), maxsplit=1)
    advice = sentences[1] if len(sentences) > 1 else None
    facts = {"error": type(error).__name__, "status_code": error.status_code, "request_id": error.request_id}
    known = {key: value for key, value in facts.items() if value is not None}
    return Step(name, "failed", sentences[0].rstrip("."), advice, known)
