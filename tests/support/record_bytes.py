"""Records responses of a real server as raw bytes, for tests that break them: `python -m tests.support.record_bytes`.

Needs a running lab in XINFERENCE_ENDPOINT and XINFERENCE_API_KEY. Writes `tests/core/recorded/<name>.http`: head and
body as received, chunk by chunk, with constant ids, dates and addresses.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FOLDER = Path(__file__).parent.parent / "core" / "recorded"

_HELLO = [{"role": "user", "content": "Say hello."}]
_TEXTS = ["a cat", "a dog", "a ship"]
CHAT, COMPLETION, EMBED, RERANK = "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank"

#: Name → path, body, and whether a credential is sent.
EXCHANGES: dict[str, tuple[str, dict[str, Any] | bytes | None, bool]] = {
    "models": ("/v1/models", None, True),
    "describe_minilm": ("/v1/models/minilm", None, True),
    "describe_rerank": ("/v1/models/tiny-rerank", None, True),
    "describe_chat": ("/v1/models/tiny-chat", None, True),
    "describe_unknown": ("/v1/models/nope", None, True),
    "embeddings": (EMBED, {"model": "minilm", "input": _TEXTS, "encoding_format": "base64"}, True),
    "rerank": (RERANK, {"model": "tiny-rerank", "query": "a cat", "documents": _TEXTS}, True),
    "chat": (CHAT, {"model": "tiny-chat", "messages": _HELLO, "temperature": 0}, True),
    "chat_stream": (
        CHAT,
        {
            "model": "tiny-chat",
            "messages": _HELLO,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        True,
    ),
    "completion_stream": (
        COMPLETION,
        {"model": "tiny-chat", "prompt": "Once", "temperature": 0, "max_tokens": 8, "stream": True},
        True,
    ),
    "no_credential": ("/v1/models", None, False),
    "unknown_model": (EMBED, {"model": "nope", "input": _TEXTS}, True),
    "chat_of_an_embedding_model": (CHAT, {"model": "minilm", "messages": _HELLO}, True),
    "stream_of_an_embedding_model": (CHAT, {"model": "minilm", "messages": _HELLO, "stream": True}, True),
    "embeddings_of_a_reranker": (EMBED, {"model": "tiny-rerank", "input": _TEXTS}, True),
    "broken_json": (EMBED, b'{"model":', True),
    "missing_field": (EMBED, {"model": "minilm"}, True),
    "missing_form_field": ("/v1/audio/transcriptions", {}, True),
    "forbidden": ("/v1/cluster/version", None, True),
    "nowhere": ("/v1/nowhere", {}, True),
}


def _ask(path: str, body: dict[str, Any] | bytes | None, *, key: bool) -> bytes:
    parts = urlsplit(os.environ["XINFERENCE_ENDPOINT"])
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    if key:
        lines.append(f"Authorization: Bearer {os.environ['XINFERENCE_API_KEY']}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=60) as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode() + content)
        pieces = []
        while piece := sock.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def _constant(text: bytes) -> bytes:
    for pattern, stands_for in (
        (rb"127\.0\.0\.1:\d+", b"127.0.0.1:9997"),
        (rb"pid=\d+", b"pid=1"),
        (rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", b"00000000-0000-0000-0000-000000000000"),
        (rb"chatcmpl-\w+|chat[0-9a-f-]{20,}", b"chatcmpl-1"),
        (rb'"created": ?\d+', b'"created": 1767225600'),
        (rb'"/[^"]*/([^"/]+\.gguf)"', rb'"/lab/\1"'),
    ):
        text = re.sub(pattern, stands_for, text)
    return text


def scrubbed(raw: bytes) -> bytes:
    """Return the response without names of machines and times, and with corrected lengths."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = [
        line
        for line in head.split(b"\r\n")
        if not re.match(rb"(?i)content-length|connection|date|x-request-id|vary", line)
    ]
    lines += [b"date: Thu, 01 Jan 2026 00:00:00 GMT"]
    if b"x-request-id" in head.lower():
        lines += [b"x-request-id: request-id"]
    if b"transfer-encoding: chunked" in head.lower():
        body = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in map(_constant, chunks_of(body)))
        body += b"0\r\n\r\n"
    else:
        body = _constant(body)
        lines += [f"content-length: {len(body)}".encode()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunks_of(body: bytes) -> list[bytes]:
    """Return the chunks of a chunked body, without the empty last one."""
    pieces = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            break
        pieces.append(body[:length])
        body = body[length + 2 :]
    return pieces


def main(names: list[str]) -> None:
    """Record the named exchanges, or all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or EXCHANGES:
        path, body, key = EXCHANGES[name]
        raw = _ask(path, body, key=key)
        (FOLDER / f"{name}.http").write_bytes(scrubbed(raw))
        status = raw[9:12].decode()
        sys.stdout.write(f"{name}: {status}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
