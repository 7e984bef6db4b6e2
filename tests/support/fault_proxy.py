"""A raw-socket server with scripted faults: recorded bytes, a stall, a reset, an early close.

It answers by path, with one script per request, and remembers every request and every disconnect. `cutting_proxy`
breaks the responses of a real server behind it.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Do(Enum):
    """The actions of a script besides sending bytes and waiting."""

    RESET = "reset"
    """Close with RST, so that the peer's next read fails."""
    CLOSE = "close"
    """Close with FIN."""
    STALL = "stall"
    """Send nothing until the client disconnects."""


RESET, CLOSE, STALL = Do.RESET, Do.CLOSE, Do.STALL
Step: TypeAlias = "bytes | float | Do"
Script: TypeAlias = "tuple[Step, ...]"
PATIENCE = 10.0  # maximum seconds for operations that must not hang


@dataclass
class Seen:
    """One request as received. `connection` counts from 0."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class FaultServer:
    """Answers each path with its scripts, one per request. The last one is repeated."""

    idle_seconds: float | None = None
    """Seconds without a request after which a connection is closed. uvicorn's value is 5."""
    answer: Callable[[Seen], Script | None] | None = None
    """Called first, if given. If it returns None, the scripts answer the request."""
    requests: list[Seen] = field(default_factory=list)
    hang_ups: list[float] = field(default_factory=list)
    """The times at which clients disconnected during a script."""
    connections: int = 0
    tls: ssl.SSLContext | None = None
    """If given, connections start with a TLS handshake."""
    port: int = 0
    """The port to listen on; 0 selects a free one."""

    def __post_init__(self) -> None:
        self._scripts: dict[str, deque[Script]] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        with self._lock:
            return len(self._open)

    def on(self, path: str, *scripts: Script | bytes) -> FaultServer:
        """Answer further requests of this path with these scripts in turn, and then always with the last one."""
        with self._lock:
            self._scripts[path] = deque(script if isinstance(script, tuple) else (script,) for script in scripts)
        return self

    def seen(self, path: str) -> list[Seen]:
        """Return the requests of this path."""
        with self._lock:
            return [request for request in self.requests if request.path == path]

    def wait_for(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        """Return whether the condition became true in time. It is checked after each event."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                return False
            with self._lock:
                self._changed.wait(0.01)
        return True

    def start(self) -> None:
        """Accept connections."""
        self._spawn(self._accept)

    def stop(self) -> None:
        """Close all connections and stop listening."""
        self._stopped.set()
        with self._lock:
            everybody = list(self._open)
        # Closing alone would not wake the thread that waits in `accept`.
        _shut(self._listener)
        for sock in everybody:
            _shut(sock)
        for thread in list(self._threads):
            thread.join(PATIENCE)

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with self._listener:
            while not self._stopped.is_set():
                try:
                    sock, _ = self._listener.accept()
                except OSError:
                    return
                with self._lock:
                    number = self.connections
                    self.connections += 1
                    self._open.add(sock)
                self._threads = [thread for thread in self._threads if thread.is_alive()]
                self._spawn(self._serve, sock, number)

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                plain, sock = sock, self.tls.wrap_socket(sock, server_side=True)
                with self._lock:
                    self._open.discard(plain)
                    self._open.add(sock)
            held = b""
            while not self._stopped.is_set():
                sock.settimeout(self.idle_seconds)
                request, held = _read_request(sock, held, number)
                if request is None:
                    return
                with self._lock:
                    self.requests.append(request)
                    self._changed.notify_all()
                sock.settimeout(None)
                if not self._play(sock, self._script_for(request)):
                    return
        except OSError:
            return
        finally:
            with self._lock:
                self._open.discard(sock)
                self._changed.notify_all()
            sock.close()

    def _script_for(self, request: Seen) -> Script:
        if self.answer is not None:
            script = self.answer(request)
            if script is not None:
                return script
        with self._lock:
            scripts = self._scripts.get(request.path)
            if not scripts:
                return (http(404, b'{"detail":"Not Found"}'),)
            return scripts.popleft() if len(scripts) > 1 else scripts[0]

    def _play(self, sock: socket.socket, script: Script) -> bool:
        """Play a script. Return whether the connection stays open."""
        for step in script:
            if isinstance(step, bytes):
                sock.sendall(step)
            elif step is RESET:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            elif step is CLOSE or self._hung_up_within(sock, step if isinstance(step, float) else PATIENCE):
                return False
        return True

    def _hung_up_within(self, sock: socket.socket, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stopped.is_set():
            ready, _, _ = select.select([sock], [], [], min(left, 0.05))
            if ready and not _peek(sock):
                with self._lock:
                    self.hang_ups.append(time.monotonic())
                    self._changed.notify_all()
                return True
        return False


def _peek(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1, socket.MSG_PEEK)
    except OSError:
        return b""


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _read_request(sock: socket.socket, held: bytes, number: int) -> tuple[Seen | None, bytes]:
    while b"\r\n\r\n" not in held:
        chunk = sock.recv(65536)
        if not chunk:
            return None, b""
        held += chunk
        if not held[:1].isalpha():  # a TLS handshake, which uvicorn answers like this
            sock.sendall(http(400, b"Invalid HTTP request received.", kind="text/plain; charset=utf-8"))
            return None, b""
    head, _, body = held.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", 0))
    while len(body) < length:
        chunk = sock.recv(65536)
        if not chunk:
            return None, b""
        body += chunk
    method, path, _ = first.split(" ", 2)
    return Seen(method, path, headers, body[:length], number), body[length:]


_REASONS = {200: "OK", 307: "Temporary Redirect", 401: "Unauthorized", 404: "Not Found", 500: "Internal Server Error"}


def http(
    status: int, body: bytes, *, kind: str = "application/json", length: int | None = None, **headers: str
) -> bytes:
    """Return one complete response. `length` overrides the value of its header with a wrong one."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}", f"content-type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"content-length: {len(body) if length is None else length}", "", ""]
    return "\r\n".join(lines).encode() + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM_END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked response."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(data: str) -> bytes:
    """Return one event as Xinference 4.1.0 sends it, in a separate chunk."""
    return chunk(f"data: {data}\r\n\r\n".encode())


@contextmanager
def fault_server(**settings: object) -> Iterator[FaultServer]:
    """Yield a running server, and stop it afterwards."""
    server = FaultServer(**settings)  # type: ignore[arg-type]
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def cutting_proxy(upstream: tuple[str, int], after: int, how: Do) -> Iterator[str]:
    """Yield the URL of a proxy to a real server that breaks each connection after this many bytes of responses."""
    stopped = threading.Event()

    def relay(client: socket.socket) -> None:
        left = after
        with client, socket.create_connection(upstream, PATIENCE) as server:
            while not stopped.is_set():
                for sock in select.select([client, server], [], [], 0.05)[0]:
                    data = sock.recv(65536)
                    if not data:
                        return
                    if sock is client:
                        server.sendall(data)
                        continue
                    client.sendall(data[:left])
                    left -= min(left, len(data))
                    if left:
                        continue
                    time.sleep(0.02)  # so that the client reads the sent bytes before the reset
                    if how is STALL:
                        stopped.wait(PATIENCE)
                    elif how is RESET:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return

    def accept() -> None:
        while not stopped.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=relay, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopped.set()
            _shut(listener)
            thread.join(PATIENCE)


def unused_port() -> int:
    """Return a port bound by this process, on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
