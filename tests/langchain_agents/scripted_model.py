"""Replaces `tests/unit_tests/agents/model.py` in LangChain's sources.

The fake there answers with what it was told. This one is ChatXinference, and a small server on a loopback port answers
with the same: everything between the agent and the socket is ours. The rules of the answers are those of the fake.
"""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import asdict, is_dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from pydantic import BaseModel, PrivateAttr

from langchain_xinference_bridge import ChatXinference

_numbers = itertools.count()
_scripts: dict[str, FakeToolCallingModel] = {}


class FakeToolCallingModel(ChatXinference):
    """ChatXinference on a server that follows a script; named as the tests import it."""

    tool_calls: list[list[Any]] | None = None
    structured_response: Any | None = None
    index: int = 0
    tool_style: Literal["openai", "anthropic"] = "openai"
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, **script: Any) -> None:
        uid = f"scripted-{next(_numbers)}"
        super().__init__(model_uid=uid, server_url=_server_url(), **{"max_retries": 0, **script})
        _scripts[uid] = self

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the fake would say."""
        index, native = self.index, bool(request.get("response_format"))
        calls: list[Any] = []
        if self.tool_calls:
            several = len(self.tool_calls)
            calls = self.tool_calls[index % several] if not native or index < several else []
        self.index += 1
        if native and not calls:
            content = json.dumps(_as_dict(self.structured_response))
        else:
            content = "-".join(_text(message) for message in request["messages"])
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if calls:
            message["tool_calls"] = [
                {
                    "id": call.get("id"),
                    "type": "function",
                    "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
                }
                for call in calls
            ]
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
        return {"id": str(index), "object": "chat.completion", "model": request["model"], "choices": [choice]}


def _as_dict(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        uid = self.path.rpartition("/")[2]
        abilities = ["chat", "tools"]
        self._send(
            {"id": uid, "model_type": "LLM", "model_engine": "vllm", "model_ability": abilities, "context_length": 4096}
        )

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = _scripts[request["model"]]
        with model._lock:
            answer = model.answer(request)
        if request.get("stream"):
            self._stream(answer)
        else:
            self._send(answer)

    def _stream(self, answer: dict[str, Any]) -> None:
        choice = answer["choices"][0]
        calls = [{"index": n, **call} for n, call in enumerate(choice["message"].get("tool_calls", []))]
        delta = choice["message"] | ({"tool_calls": calls} if calls else {})
        parts = [{"index": 0, "delta": delta, "finish_reason": None}]
        parts.append({"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]})
        events = [json.dumps({**answer, "object": "chat.completion.chunk", "choices": [part]}) for part in parts]
        self._send("".join(f"data: {event}\r\n\r\n" for event in [*events, "[DONE]"]), "text/event-stream")

    def _send(self, said: Any, kind: str = "application/json") -> None:
        body = (said if isinstance(said, str) else json.dumps(said)).encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


_started: list[_Server] = []


def _server_url() -> str:
    if not _started:
        _started.append(_Server(("127.0.0.1", 0), _Handler))
        threading.Thread(target=_started[0].serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{_started[0].server_port}"
