"""How many requests with a refused key sixteen processes send: `python -m benchmarks.refused [processes] [seconds]`.

Each process has four threads that ask again and again, with keys that a local server refuses. The server bans an
address after ten refusals within 300 s.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WINDOW = 300.0
WORKER = """
import sys, threading, time
from xinference_bridge import XinferenceConnection, XinferenceError
url, key, ends = sys.argv[1], sys.argv[2], time.monotonic() + float(sys.argv[3])
def ask():
    while time.monotonic() < ends:
        try:
            XinferenceConnection(url, api_key=key, max_retries=0).models()
        except XinferenceError:
            time.sleep(0.05)
threads = [threading.Thread(target=ask) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


class _Server(ThreadingHTTPServer):
    """Takes a key until it is revoked, and remembers when it refused one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, revoked_after: float | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refused: list[float] = []
        self.answered = 0
        self.revoked_at = None if revoked_after is None else time.monotonic() + revoked_after


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        now = time.monotonic()
        valid = self.server.revoked_at is not None and now < self.server.revoked_at
        if valid:
            self.server.answered += 1
        else:
            self.server.refused.append(now)
        body = b'{"object":"list","data":[]}' if valid else b'{"detail":"Invalid or expired token"}'
        self.send_response(200 if valid else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def measure(processes: int, seconds: float, *, keys: int, revoked_after: float | None) -> tuple[int, int, int]:
    """Return the refused requests: of all, the most in any window, and the answered ones."""
    server = _Server(revoked_after)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XDG_RUNTIME_DIR": folder, "PYTHONPATH": str(Path.cwd())}
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, url, f"xf-key-{number % keys}", str(seconds)], env=environment
            )
            for number in range(processes)
        ]
        for worker in workers:
            worker.wait()
    server.shutdown()
    server.server_close()
    worst = max((sum(at <= other < at + WINDOW for other in server.refused) for at in server.refused), default=0)
    return len(server.refused), worst, server.answered


def main() -> None:
    """Print a row for each case."""
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 30.0
    cases: dict[str, tuple[int, float | None]] = {
        "one wrong key": (1, None),
        "a wrong key each": (processes, None),
        "a key revoked under load": (1, seconds / 2),
    }
    print(f"{processes} processes of 4 threads, {seconds:g} s\n\n| case | answered | refused | most in 300 s |")
    print("| --- | ---: | ---: | ---: |")
    for name, (keys, revoked_after) in cases.items():
        refused, worst, answered = measure(processes, seconds, keys=keys, revoked_after=revoked_after)
        print(f"| {name} | {answered} | {refused} | {worst} |")


if __name__ == "__main__":
    main()
