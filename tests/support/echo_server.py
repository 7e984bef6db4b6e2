"""A small server on a loopback port, for the tests of the recording machinery; nothing here imitates Xinference."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class EchoServer(ThreadingHTTPServer):
    """Returns the configured response, or else the request's body. Remembers every request."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str, bytes]] = []
        self.answers: dict[str, tuple[str, bytes]] = {}
        """Path → content type and body."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: EchoServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, body))
        kind, answer = self.server.answers.get(
            self.path, ("application/json", json.dumps({"you_sent": body.decode(errors="replace")}).encode())
        )
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Set-Cookie", "session=1")
        self.send_header("X-Request-ID", "7f")
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST  # noqa: N815 - http.server's name

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


@contextmanager
def echo_server() -> Iterator[EchoServer]:
    """Yield a running server, and stop it afterwards."""
    server = EchoServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
