"""A server that replays the lab's responses from memory, too fast to influence the measurements.

It runs in a separate process, on a port that it chooses and prints. It ends with its parent (when its standard input
closes), or after `--lifetime` seconds. The UID determines what a model does:

- `chat-3000` answers, or streams this many pieces of text;
- `paced-100` streams this many pieces, one every 5 ms, each with the nanosecond when it was sent;
- `embed` answers immediately; `embed-r4` answers like 4 slow replicas, each of which handles one request at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import Any

import orjson

from benchmarks import answers

API_KEY = "sk-bench"
_CREDENTIAL = f"authorization: bearer {API_KEY}".encode()
_PACE_SECONDS = 0.005
#: Seconds that a replica needs for a request and for each of its texts, similar to MiniLM on a CPU.
_REQUEST_SECONDS = 0.020
_TEXT_SECONDS = 0.0015


class Replicas:
    """The waiting time of each request to a model with several replicas, which each handle one request at a time."""

    def __init__(self, count: int) -> None:
        self._free_at = [0.0] * count
        self._next = 0

    def seconds(self, texts: int) -> float:
        """Return the time until the response to a request that arrives now. Replicas take turns, as on the server."""
        now = time.monotonic()
        turn, self._next = self._next, (self._next + 1) % len(self._free_at)
        begun = max(now, self._free_at[turn])
        self._free_at[turn] = begun + _REQUEST_SECONDS + texts * _TEXT_SECONDS
        return self._free_at[turn] - now


class Stub(asyncio.Protocol):
    """One client's connection."""

    replicas: dict[str, Replicas] = {}  # noqa: RUF012 - shared by all connections on purpose

    def __init__(self) -> None:
        self._held = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        held = self._held + data if self._held else data
        while (end := held.find(b"\r\n\r\n")) >= 0:
            head = held[:end]
            stop = end + 4 + _content_length(head)
            if len(held) < stop:
                break
            self._answer(head, held[end + 4 : stop])
            held = held[stop:]
        self._held = held

    def _answer(self, head: bytes, body: bytes) -> None:
        method, path, _ = head[: head.index(b"\r\n")].split(b" ", 2)
        if path == b"/v1/cluster/auth":
            self._transport.write(answers.auth_is_on())
        elif _CREDENTIAL not in head.lower():
            self._transport.write(answers.unauthorised())
        elif method == b"POST":
            self._infer(path, orjson.loads(body))
        elif path == b"/v1/models":
            self._transport.write(answers.models())
        elif path.startswith(b"/v1/models/"):
            self._transport.write(answers.model(path[11:].decode()))
        else:
            self._transport.write(answers.not_found())

    def _infer(self, path: bytes, asked: dict[str, Any]) -> None:
        uid = asked["model"]
        if path == b"/v1/embeddings":
            self._embed(uid, asked)
        elif path == b"/v1/completions":
            self._transport.write(answers.completion())
        elif path != b"/v1/chat/completions":
            self._transport.write(answers.not_found())
        elif not asked.get("stream"):
            self._transport.write(answers.chat())
        elif uid.startswith("paced-"):
            self._transport.write(answers.stream_head() + answers.stream_first())
            self._pace(int(uid.removeprefix("paced-")))
        else:
            self._transport.write(answers.stream(int(uid.removeprefix("chat-"))))

    def _embed(self, uid: str, asked: dict[str, Any]) -> None:
        texts = asked["input"]
        count = len(texts) if isinstance(texts, list) else 1
        answer = answers.embeddings(count, as_base64=asked.get("encoding_format") == "base64")
        if uid == "embed":
            self._transport.write(answer)
            return
        replicas = self.replicas.setdefault(uid, Replicas(int(uid.removeprefix("embed-r"))))
        asyncio.get_running_loop().call_later(replicas.seconds(count), self._transport.write, answer)

    def _pace(self, left: int) -> None:
        if not left:
            self._transport.write(answers.stream_end())
            return
        self._transport.write(answers.stream_text(str(time.monotonic_ns())))
        asyncio.get_running_loop().call_later(_PACE_SECONDS, self._pace, left - 1)


def _content_length(head: bytes) -> int:
    lower = head.lower()
    start = lower.find(b"content-length:")
    if start < 0:
        return 0
    end = lower.find(b"\r\n", start)
    return int(lower[start + 15 : end if end >= 0 else len(lower)])


async def _serve(lifetime: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Stub, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    parent_gone = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), parent_gone.set)
    try:
        await asyncio.wait_for(parent_gone.wait(), lifetime)
    except asyncio.TimeoutError:
        return
    finally:
        server.close()


def main() -> None:
    """Serve until the parent ends or the lifetime is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--lifetime", type=float, default=900.0, help="seconds after which it ends in any case")
    asyncio.run(_serve(parser.parse_args().lifetime))


if __name__ == "__main__":
    main()
