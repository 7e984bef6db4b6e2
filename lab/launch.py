"""Sets up a running server as a lab: account, key, families, models, and one real call to each model."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import families, more_models
from lab.families import CLUSTER_LAUNCHES, LAUNCHES, Launch
from lab.models import TINY
from lab.more_models import MEDIA_LAUNCHES, SMOLLM2_LAUNCHES
from lab.rest import RefusedError, Rest
from lab.say import LabError, say

USERNAME = "lab"
_READY_WITHIN = 1200.0
_SIDE_BY_SIDE = 4


@dataclass(frozen=True)
class Account:
    """The administrator of the lab's server and the API key that tests use."""

    username: str
    password: str
    api_key: str
    jwt: str


def asks_who_calls(endpoint: str) -> bool:
    """Return whether authentication is on. It is on by default since 3.0."""
    return bool(Rest(endpoint).get("/v1/cluster/auth")["auth"])


def create_account(endpoint: str, setup_token: str | None) -> Account:
    """Create the first account with a random password, log in, and create an API key."""
    password = secrets.token_urlsafe(12)
    rest = Rest(endpoint)
    first = {"username": USERNAME, "password": password} | ({"setup_token": setup_token} if setup_token else {})
    rest.post("/v1/admin/setup", first)
    jwt = rest.post("/token", {"username": USERNAME, "password": password})["access_token"]
    answer = Rest(endpoint, jwt).post("/v1/admin/keys", {"name": "lab"})
    return Account(USERNAME, password, _key_of(answer), jwt)


def _key_of(answer: dict[str, Any]) -> str:
    for name in ("key", "api_key"):
        if isinstance(answer.get(name), str):
            return str(answer[name])
    raise LabError(f"POST /v1/admin/keys answered without a key, with the fields {sorted(answer)}")


def launch_models(rest: Rest, folders: dict[str, Path], launches: list[Launch]) -> None:
    """Register the families whose files are given, then launch their models, a few at a time.

    All eighteen at once would import torch eighteen times on two cores, and each must start within a time limit.
    """
    for model_type, name, family in _families(folders):
        say(f"registering {name}")
        rest.post(f"/v1/model_registrations/{model_type}", {"model": json.dumps(family), "persist": True})
    say("launching " + ", ".join(launch.uid for launch in launches))
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        bodies = [launch.payload(folders[launch.files]) for launch in launches]
        running = [pool.submit(rest.post, "/v1/models", body, _READY_WITHIN) for body in bodies]
        for launch, done in zip(launches, running, strict=True):
            with left_out_unless_tiny(launch):
                done.result()


@contextmanager
def left_out_unless_tiny(launch: Launch) -> Iterator[None]:
    """If a model does not start, print that it is left out. Raise if it is one that every test needs."""
    try:
        yield
    except (RefusedError, OSError) as error:
        if launch.files in TINY:
            raise
        say(f"left out: {launch.uid} ({error})")


def launches_of(folders: dict[str, Path], *, cluster: bool) -> list[Launch]:
    """Return the rows of the table whose model files are given."""
    table = CLUSTER_LAUNCHES if cluster else LAUNCHES + SMOLLM2_LAUNCHES + MEDIA_LAUNCHES
    return [launch for launch in table if launch.files in folders]


def wait_until_ready(rest: Rest, launch: Launch) -> None:
    """Poll the description, then make one real call, because an engine may still fail at its first request."""
    deadline = time.monotonic() + _READY_WITHIN
    while True:
        try:
            rest.get(f"/v1/models/{launch.uid}")
            break
        except RefusedError as refusal:
            if time.monotonic() > deadline or refusal.status not in (400, 404, 503):
                raise
            time.sleep(0.5)
    if launch.probe is None:
        return
    path, body = _PROBES[launch.model_type]
    rest.post(path, {"model": launch.uid, **body}, timeout=300)


_PROBES: dict[str, tuple[str, dict[str, Any]]] = {
    "LLM": (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "max_tokens": 8},
    ),
    "embedding": ("/v1/embeddings", {"input": ["Hello"]}),
    "rerank": ("/v1/rerank", {"query": "Hello", "documents": ["Hello", "Good bye"]}),
}

_BUILDERS: dict[str, tuple[str, Callable[[Path], list[dict[str, Any]]]]] = {
    "minilm": ("embedding", lambda folder: [families.embedding_family(folder)]),
    "tiny-rerank": ("rerank", lambda folder: [families.rerank_family(folder)]),
    "tiny-chat": ("LLM", lambda folder: [families.chat_family(folder)]),
    "tiny-think": ("LLM", lambda folder: [families.think_family(folder)]),
    "smollm2": ("LLM", more_models.smollm2_families),
    "whisper": ("audio", lambda folder: [more_models.whisper_family(folder)]),
    "tiny-clip": ("embedding", lambda folder: [more_models.clip_family(folder)]),
    "tiny-vl": ("LLM", lambda folder: [more_models.vision_chat_family(folder)]),
    "tiny-sd": ("image", lambda folder: [more_models.diffusion_family(folder)]),
}
"""The families to register. The other models use built-in families."""


def _families(folders: dict[str, Path]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (model_type, family["model_name"], family)
        for name, (model_type, build) in _BUILDERS.items()
        if name in folders
        for family in build(folders[name])
    ]
