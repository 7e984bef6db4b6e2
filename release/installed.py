"""Run by an environment that holds the wheel with one extra: what is there works, what is not says how to get it.

python installed.py            the wheel alone
python installed.py langchain  with that extra
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from xinference_bridge import XinferenceConnection, __version__

ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
#: By path, for GET.
ANSWERS = {
    "/v1/cluster/auth": {"auth": False},
    "/v1/models": {"object": "list", "data": []},
    "/v1/models/qwen3": {"id": "qwen3", "model_type": "LLM", "model_ability": ["chat"], "context_length": 4096},
}


class _Server(BaseHTTPRequestHandler):
    """Answers every question with Paris."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(ANSWER)

    def do_GET(self) -> None:
        self._answer(ANSWERS.get(self.path, {}))

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by http.server
        """Say nothing."""


def check_langchain(connection: XinferenceConnection) -> None:
    """Ask through LangChain."""
    from langchain_xinference_bridge import ChatXinference

    assert ChatXinference(model_uid="qwen3", connection=connection).invoke("The capital of France?").text == "Paris."


def check_llamaindex(connection: XinferenceConnection) -> None:
    """Ask through LlamaIndex."""
    from llama_index.core.llms import ChatMessage

    from llamaindex_xinference_bridge import XinferenceLLM

    llm = XinferenceLLM(model_uid="qwen3", connection=connection)
    assert llm.chat([ChatMessage(role="user", content="The capital of France?")]).message.content == "Paris."


def check_cli(connection: XinferenceConnection) -> None:
    """Let the command say its version, and look at the server."""
    command = Path(sys.executable).with_name("xinference-bridge")
    said = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    assert __version__ in said, said
    seen = subprocess.run([command, "models", "-e", connection.server_url], capture_output=True, text=True, check=False)
    assert "Traceback" not in seen.stderr, seen.stderr


def check_absent(extra: str) -> None:
    """Without its extra, a part fails with the command that installs it."""
    if extra == "cli":
        command = Path(sys.executable).with_name("xinference-bridge")
        said = subprocess.run([command, "doctor"], capture_output=True, text=True, check=False).stderr
    else:
        try:
            importlib.import_module(
                {"langchain": "langchain_xinference_bridge"}.get(extra, "llamaindex_xinference_bridge")
            )
        except ImportError as error:
            said = str(error)
        else:
            raise AssertionError(f"imported without the extra {extra}")
    assert f'pip install "xinference-bridge[{extra}]"' in said, said


CHECKS: dict[str, Callable[[XinferenceConnection], None]] = {
    "langchain": check_langchain,
    "llamaindex": check_llamaindex,
    "cli": check_cli,
}


def main(extra: str) -> None:
    """Check what is there and what is not."""
    present = set(CHECKS) if extra == "all" else {"cli" if extra == "parquet" else extra} & set(CHECKS)
    assert importlib.metadata.version("xinference-bridge") == __version__
    assert "site-packages" in str(importlib.import_module("xinference_bridge").__file__), "this is not the wheel"
    server = HTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with XinferenceConnection(server_url=f"http://127.0.0.1:{server.server_port}") as connection:
        assert connection.models() == []
        for name, check in CHECKS.items():
            if name in present:
                check(connection)
            else:
                check_absent(name)
    print(f"{'.'.join(map(str, sys.version_info[:2]))} [{extra or 'alone'}]: works")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
