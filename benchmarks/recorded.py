"""The lab server's responses as templates, from which the stub server creates responses of any length.

`python -m benchmarks.recorded` writes `recorded.json` again from the lab in the environment variables. It stores
nothing about the machine or its credentials: ids, times and paths are replaced by fixed ones, and the text is invented.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypedDict

import orjson
import requests

RECORDED = Path(__file__).with_name("recorded.json")

#: What differs from run to run or contains a folder, and its replacement.
_FIXED: dict[str, Any] = {
    "id": "chatcmpl-00000000-0000-4000-8000-000000000000",
    "created": 1750000000,
    "model": "chat",
    "model_replica": "chat-rep0",
    "address": "127.0.0.1:30000",
    "x-request-id": "00000000-0000-4000-8000-000000000000",
    "date": "Thu, 01 Jan 2026 00:00:00 GMT",
}
_NOT_KEPT = {"content-length", "timings", "model_hub", "model_revision"}


class Recorded(TypedDict):
    """Headers as pairs, and bodies as the server sent them, with one entry for each list."""

    json_headers: list[tuple[str, str]]
    stream_headers: list[tuple[str, str]]
    chat: dict[str, Any]
    completion: dict[str, Any]
    stream: list[dict[str, Any]]
    embeddings: dict[str, Any]
    chat_model: dict[str, Any]
    embedding_model: dict[str, Any]
    unauthorised: dict[str, Any]


def load() -> Recorded:
    """Return the templates in `recorded.json`."""
    recorded: Recorded = orjson.loads(RECORDED.read_bytes())
    return recorded


def record(url: str, api_key: str, chat: str, embedding: str) -> Recorded:
    """Record one response of each kind from the lab. `stream` has the first, a middle, the last and the usage chunk."""
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {api_key}"
    asked: dict[str, Any] = {
        "model": chat,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "max_tokens": 30,
    }
    whole = session.post(f"{url}/v1/chat/completions", json=asked, timeout=60)
    streamed = session.post(
        f"{url}/v1/chat/completions",
        json={**asked, "stream": True, "stream_options": {"include_usage": True}},
        timeout=60,
    )
    completed = session.post(
        f"{url}/v1/completions", json={"model": chat, "prompt": "The capital of France", "max_tokens": 8}, timeout=60
    )
    vectors = session.post(
        f"{url}/v1/embeddings",
        json={"model": embedding, "input": ["a"], "encoding_format": "base64"},
        timeout=60,
    )
    for answer in (whole, streamed, completed, vectors):
        answer.raise_for_status()
    events = [orjson.loads(line[6:]) for line in streamed.content.split(b"\r\n") if line.startswith(b"data: {")]
    with_text = [event for event in events if event["choices"] and event["choices"][0]["delta"].get("content")]
    ending = next(
        index for index, event in enumerate(events) if event["choices"] and event["choices"][0]["finish_reason"]
    )
    models = {entry["id"]: entry for entry in session.get(f"{url}/v1/models", timeout=60).json()["data"]}
    refused = requests.get(f"{url}/v1/models", timeout=60)
    return {
        "json_headers": _headers(whole),
        "stream_headers": _headers(streamed),
        "chat": _scrubbed(whole.json()),
        "completion": _scrubbed(completed.json()),
        "stream": [_scrubbed(event) for event in (events[0], with_text[1], *events[ending:])],
        "embeddings": _scrubbed({**vectors.json(), "data": [{**vectors.json()["data"][0], "embedding": ""}]}),
        "chat_model": _scrubbed(models[chat], uid="chat"),
        "embedding_model": _scrubbed({**models[embedding], "dimensions": 1024}, uid="embed"),
        "unauthorised": refused.json(),
    }


def _headers(answer: requests.Response) -> list[tuple[str, str]]:
    return [
        (name, str(_FIXED.get(name.lower(), value)))
        for name, value in answer.headers.items()
        if name.lower() not in _NOT_KEPT
    ]


def _scrubbed(body: dict[str, Any], uid: str | None = None) -> dict[str, Any]:
    kept = {name: _FIXED.get(name, value) for name, value in body.items() if name not in _NOT_KEPT}
    if uid is not None:
        kept["id"] = uid
    return kept


def main() -> None:
    """Record from the lab, and write the file."""
    made = record(
        os.environ["XINFERENCE_ENDPOINT"],
        os.environ["XINFERENCE_API_KEY"],
        chat=os.environ.get("BENCH_CHAT", "tiny-chat"),
        embedding=os.environ.get("BENCH_EMBEDDING", "minilm"),
    )
    RECORDED.write_bytes(orjson.dumps(made, option=orjson.OPT_INDENT_2) + b"\n")
    print(f"Written: {RECORDED.name}")


if __name__ == "__main__":
    main()
