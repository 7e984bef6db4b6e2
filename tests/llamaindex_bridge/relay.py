"""Relays requests of other processes to the lab through this process, where they are recorded and replayed."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests


@dataclass
class Relay:
    """Where it listens, and the credential of each request that it passed on."""

    url: str = ""
    credentials: list[str | None] = field(default_factory=list)


@contextmanager
def relay_to(target: str):
    """A relay to the server at `target`, on a free loopback port."""
    relay = Relay()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            relay.credentials.append(self.headers["Authorization"])
            headers = {"Content-Type": "application/json", "Authorization": self.headers["Authorization"]}
            answer = requests.post(target + self.path, data=body, headers=headers, timeout=60)
            self.send_response(answer.status_code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *args) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        relay.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield relay
        finally:
            server.shutdown()
            thread.join()
