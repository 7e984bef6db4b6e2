"""Counts the requests that 16 processes send with a rejected key: `python -m benchmarks.refused [processes] [seconds]`.

Each process has four threads that keep sending requests with keys that a local server rejects. The server bans an
address after ten rejections within 300 s. It checks the key as soon as a request arrives, as Xinference does, and takes
a while to answer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WINDOW = 300.0
#: Each request carries its sending time: on Linux the monotonic clock is the same in all processes.
WORKER = """
import http.client, random, sys, threading, time
from xinference_bridge import XinferenceConnection, XinferenceError

end_headers = http.client.HTTPConnection.endheaders

def say_when(self, *args, **kwargs):
    self.putheader("X-Sent", repr(time.monotonic()))
    end_headers(self, *args, **kwargs)

def ask():
    while time.monotonic() < ends:
        try:
            XinferenceConnection(url, api_key=key, max_retries=0).models()
        except XinferenceError:
            time.sleep(0.05)
        time.sleep(random.random() / 10)  # so that the callers do not go in step

http.client.HTTPConnection.endheaders = say_when
url, key = sys.argv[1:3]
XinferenceConnection(url).client  # loads all that is needed
print("ready", flush=True)
sys.stdin.readline()
ends = time.monotonic() + float(sys.argv[3])
threads = [threading.Thread(target=ask) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


@dataclass
class Outcome:
    """The server's counts."""

    answered: int
    refused: int
    in_flight: int
    """The rejected requests that were sent before the first rejection left the server."""
    worst: int
    """The maximum number of rejections within any `WINDOW`."""


class _Server(ThreadingHTTPServer):
    """Accepts a key until it is revoked, and records the time of each rejection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer_seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer_seconds = answer_seconds
        self.revoked = False
        self.answered = 0
        self.refused: list[tuple[float, float]] = []
        """When each rejected request was sent, and when it was rejected."""

    def outcome(self) -> Outcome:
        """Return the counts."""
        times = [at for _, at in self.refused]
        worst = max((sum(at <= other < at + WINDOW for other in times) for at in times), default=0)
        in_flight = sum(sent <= times[0] for sent, _ in self.refused)
        return Outcome(self.answered, len(times), in_flight, worst)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        sent = self.headers["X-Sent"]
        valid = not self.server.revoked
        if valid:
            self.server.answered += 1
            time.sleep(self.server.answer_seconds)
        else:
            self.server.refused.append((float(sent), time.monotonic()))
        body = b'{"object":"list","data":[]}' if valid else b'{"detail":"Invalid or expired token"}'
        self.send_response(200 if valid else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def measure(processes: int, seconds: float, *, keys: int, valid_at_first: bool, answer_seconds: float) -> Outcome:
    """Let the processes send requests for this many seconds. A key that is valid at first is revoked halfway."""
    server = _Server(answer_seconds)
    server.revoked = not valid_at_first
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XDG_RUNTIME_DIR": folder, "PYTHONPATH": str(Path.cwd())}
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, url, f"xf-key-{number % keys}", str(seconds)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for number in range(processes)
        ]
        for worker in workers:
            assert worker.stdout is not None
            worker.stdout.readline()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write(b"\n")
            worker.stdin.flush()
        time.sleep(seconds / 2)
        server.revoked = True
        for worker in workers:
            worker.communicate()
    server.shutdown()
    server.server_close()
    return server.outcome()


def main() -> None:
    """Print a row for each case."""
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 30.0
    cases: dict[str, tuple[int, bool, float]] = {
        "one wrong key": (1, False, 0.0),
        "a wrong key each": (processes, False, 0.0),
        "a key revoked, answers take 1 s": (1, True, 1.0),
        "a key revoked, answers take 0.1 s": (1, True, 0.1),
        "a key revoked, answers take no time": (1, True, 0.0),
    }
    print(f"{processes} processes of 4 threads, {seconds:g} s\n")
    print("| case | answered | refused | of these in flight at the first refusal | most in 300 s |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, (keys, valid_at_first, answer_seconds) in cases.items():
        seen = measure(processes, seconds, keys=keys, valid_at_first=valid_at_first, answer_seconds=answer_seconds)
        print(f"| {name} | {seen.answered} | {seen.refused} | {seen.in_flight} | {seen.worst} |", flush=True)


if __name__ == "__main__":
    main()
