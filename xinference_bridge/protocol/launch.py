"""Requests and responses for launching and terminating models. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.protocol.http import JSON, Request, Response
from xinference_bridge.protocol.model_info import ModelInfo
from xinference_bridge.protocol.shape_errors import json_answer, unexpected_answer

# 4.1.0 serves a model whose UID contains a slash or a space, but can neither describe nor terminate it.
_UID = re.compile(r"[^\s/]+")
_MODEL_TYPES = ("LLM", "embedding", "rerank", "image", "audio", "video", "flexible")


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica of a model: its worker, its state and the reason for a failure."""

    number: int
    status: str
    worker: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """The state of a launched model, ready or not. Source: `GET /v1/models/instances` (administrators).

    `status` is one of CREATING, READY, ERROR, TERMINATING, TERMINATED.
    """

    uid: str
    name: str
    status: str
    replicas: tuple[Replica, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether the model is ready."""
        return self.status == "READY"

    @property
    def failed(self) -> bool:
        """Whether the launch failed; `error` has the reason."""
        return self.status == "ERROR"

    @property
    def error(self) -> str | None:
        """The server's message about the failed launch."""
        return next((replica.error for replica in self.replicas if replica.error), None)


@dataclass(frozen=True, slots=True)
class LaunchProgress:
    """The progress of a launch: `fraction` from 0 to 1, the server's `stage`, and the status.

    If nothing was downloaded, a ready model still has the fraction 0.0 (4.1.0), so check `status`.
    """

    uid: str
    stage: str
    fraction: float
    status: str = ""


def launch_request(
    model_name: str,
    *,
    engine: str | None,
    uid: str | None,
    model_type: str,
    size: str | float | None,
    model_format: str | None,
    quantization: str | None,
    replica: int,
    options: Mapping[str, Any],
) -> Request:
    """Return the request that launches a model and does not wait for it.

    Raises:
        XinferenceConfigurationError: The UID contains a slash or whitespace, an LLM has no engine, or the type is
            unknown.
    """
    if uid is not None and not _UID.fullmatch(uid):
        why = "the server could neither describe nor terminate the model"
        msg = f"uid={uid!r} must not contain a slash or whitespace: {why}"
        raise XinferenceConfigurationError(msg)
    if model_type not in _MODEL_TYPES:
        msg = f"model_type={model_type!r} must be one of {', '.join(_MODEL_TYPES)}"
        raise XinferenceConfigurationError(msg)
    if model_type == "LLM" and not engine:
        msg = "to launch a language model, engine= is required: vllm, sglang, transformers, llama.cpp, mlx"
        raise XinferenceConfigurationError(msg)
    stated: JSON = {
        "model_uid": uid,
        "model_name": model_name,
        "model_type": model_type,
        "model_engine": engine,
        "model_size_in_billions": size,
        "model_format": model_format,
        "quantization": quantization,
        "replica": replica,
        **options,
    }
    body = {name: value for name, value in stated.items() if value is not None}
    return Request("POST", "/v1/models?wait_ready=false", body)


def uid_from_launch(response: Response) -> str:
    """Return the UID under which the model will run."""
    uid = json_answer(response).get("model_uid")
    if not isinstance(uid, str) or not uid:
        raise unexpected_answer(response, "a model_uid")
    return uid


def terminate_request(uid: str) -> Request:
    """Return the request that terminates a model."""
    return Request("DELETE", f"/v1/models/{quote(uid, safe='')}", model_uid=uid)


def progress_request(uid: str) -> Request:
    """Return the request for a launch's progress. The server answers it for unknown UIDs too."""
    return Request("GET", f"/v1/models/{quote(uid, safe='')}/progress", model_uid=uid)


def instances_request(uid: str | None = None) -> Request:
    """Return the request for the states of all launched models, or of one."""
    query = f"?{urlencode({'model_uid': uid})}" if uid is not None else ""
    return Request("GET", f"/v1/models/instances{query}")


def progress_from_response(response: Response, uid: str) -> LaunchProgress:
    """Return the progress of the launch."""
    data = json_answer(response)
    fraction = data.get("progress")
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)):
        fraction = 0.0
    return LaunchProgress(uid, str(data.get("stage") or ""), min(1.0, max(0.0, float(fraction))))


def statuses_from_response(response: Response) -> list[ModelStatus]:
    """Return the state of each launched model, in the server's order."""
    data = response.json()
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise unexpected_answer(response, "a list of models")
    return [_status(entry) for entry in data]


def _status(entry: Mapping[str, Any]) -> ModelStatus:
    replicas = entry.get("replica_statuses")
    return ModelStatus(
        uid=str(entry.get("model_uid") or ""),
        name=str(entry.get("model_name") or ""),
        status=str(entry.get("status") or ""),
        replicas=tuple(
            Replica(
                number=number,
                status=str(replica.get("status") or ""),
                worker=_text(replica.get("worker_address")),
                error=_text(replica.get("error_message")),
            )
            for number, replica in enumerate(replicas if isinstance(replicas, list) else [])
            if isinstance(replica, dict)
        ),
    )


def launched_info(uid: str, request: Request) -> ModelInfo:
    """Return what is known about a model whose launch was requested but not awaited."""
    body = request.json or {}
    return ModelInfo(
        uid=uid,
        name=str(body.get("model_name") or ""),
        type=str(body.get("model_type") or ""),
        engine=_text(body.get("model_engine")),
    )


def _text(value: Any) -> str | None:
    return str(value) if value not in (None, "") else None
