"""A relay between workers and lab: counts requests by worker, and fails or waits when a test requires it."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import requests


@dataclass
class Relay:
    """Where it listens, what came, and what it shall do."""

    url: str = ""
    texts: list[str] = field(default_factory=list)
    """Every requested text, once for each request."""
    refused: int = 0
    """Requests that the lab answered with a 401."""
    workers: set[int] = field(default_factory=set)
    """The ids of the processes that requested vectors."""
    fails_at: set[str] = field(default_factory=set)
    """Texts for which the server is out of memory, which no lab is on demand."""
    room_for: int | None = None
    """How many texts are let through; the rest wait for `release`, so that a job cannot end before it is killed."""
    release: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(self, texts: list[str]) -> bool:
        """Record the request, and return whether it may be forwarded to the lab."""
        with self.lock:
            self.texts += texts
            waits = self.room_for is not None and len(self.texts) > self.room_for
        return not waits or self.release.wait(300)

    def begin_anew(self) -> list[str]:
        """Return and reset the recorded texts, and forward everything again."""
        self.release.set()
        with self.lock:
            asked, self.texts, self.room_for = self.texts, [], None
        return asked


@contextmanager
def relay_to(target: str):
    """A relay to the lab, on a free loopback port."""
    relay = Relay()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/embeddings":
                relay.workers |= asker(self.client_address[1])
                texts = json.loads(body)["input"]
                if relay.fails_at & set(texts):
                    self._answer(500, b'{"detail": "CUDA out of memory"}')
                    return
                relay.admit(texts)
            self._pass_on(body)

        def _pass_on(self, body: bytes) -> None:
            headers = {"Content-Type": "application/json", "Authorization": self.headers.get("Authorization")}
            answer = requests.request(self.command, target + self.path, data=body, headers=headers, timeout=300)
            relay.refused += answer.status_code == 401
            self._answer(answer.status_code, answer.content)

        def _answer(self, status: int, content: bytes) -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except ConnectionError:
                self.close_connection = True  # the client was killed

        def log_message(self, *args) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        relay.url = f"http://127.0.0.1:{server.server_port}"
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield relay
        finally:
            relay.release.set()
            server.shutdown()


def asker(port: int) -> set[int]:
    """The process at the other end of a loopback connection."""
    return {
        found.pid
        for found in psutil.net_connections("tcp4")
        if found.pid and found.laddr.port == port and found.raddr and found.pid != psutil.Process().pid
    }
