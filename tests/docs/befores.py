"""Runs the *before* programs of the migration pages on the lab, each with the package that it was written for.

`make test-migration`. Not a test of pytest: the packages exclude each other, so each has an environment of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from tests.docs.blocks import Block, blocks_of_file
from tests.docs.running import Page
from tests.support.lab import Lab

ROOT = Path(__file__).parent.parent.parent
#: What is installed for a program that names it. The first two of LlamaIndex come without what they ask for: the whole
#: server with its gigabytes, which they need to be imported and which does not help them to run.
PACKAGES = {
    "langchain-community": ["langchain-community==0.4.2", "xinference-client"],
    "langchain-xinference": ["langchain-xinference==0.1.2"],
    "llama-index": [
        "llama-index-core>=0.14.5,<0.15",
        "llama-index-embeddings-xinference==0.5.0",
        "llama-index-postprocessor-xinference-rerank==0.5.0",
    ],
    "openai": ["langchain-openai>=1,<2", "llama-index-llms-openai-like"],
}
BARE = {"llama-index": ["llama-index-llms-xinference==0.6.0"]}


class _Doorman(BaseHTTPRequestHandler):
    """Forwards every request with the lab's key, and so acts as a server without accounts."""

    lab: Lab

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {"Authorization": f"Bearer {self.lab.api_key}", "Content-Type": "application/json"}
        if self.path == "/v1/cluster/auth":
            status, content = 200, b'{"auth": false}'
        else:
            answer = requests.request(self.command, self.lab.url + self.path, data=body, headers=headers, timeout=60)
            status, content = answer.status_code, answer.content
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST  # noqa: N815 - named by http.server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by http.server
        """Say nothing."""


def main() -> int:
    """Run all programs. The exit status is 0 if each ended as its page describes."""
    lab = Lab(os.environ["XINFERENCE_ENDPOINT"], os.environ["XINFERENCE_API_KEY"])
    _Doorman.lab = lab
    doorman = ThreadingHTTPServer(("127.0.0.1", 0), _Doorman)
    threading.Thread(target=doorman.serve_forever, daemon=True).start()
    without_accounts = Lab(f"http://127.0.0.1:{doorman.server_port}", "")
    wrong = 0
    for page in sorted((ROOT / "docs" / "migration").glob("*.md")):
        for block in blocks_of_file(page, ROOT):
            if block.remark == "before":
                package, *said = [word.strip() for word in (block.said or "").split(",")]
                place = without_accounts if "open" in said else lab
                wrong += not _as_said(block, said[-1], _run(block, _environment(package), place))
    return wrong


def _environment(package: str) -> Path:
    """The Python of the environment of this package, made at first need."""
    folder = ROOT / f".venv-before-{package}"
    if not (folder / ".ready").exists():
        print(f"Setting up {folder.name}")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *PACKAGES[package]], check=True)
        if package in BARE:
            subprocess.run([*install, "--no-deps", *BARE[package]], check=True)
        (folder / ".ready").touch()
    return folder / "bin" / "python"


def _run(block: Block, python: Path, lab: Lab) -> subprocess.CompletedProcess[str]:
    code = Page(lab, ROOT).translated(block.text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XINFERENCE_")}
    return subprocess.run(
        [str(python), "-c", code], capture_output=True, text=True, check=False, timeout=300, env=environment
    )


def _as_said(block: Block, said: str, done: subprocess.CompletedProcess[str]) -> bool:
    last = (done.stderr.strip().splitlines() or [""])[-1]
    if said == "runs":
        well = done.returncode == 0
    else:
        well = done.returncode != 0 and last.startswith(said.removeprefix("fails: "))
    words = " ".join(done.stdout.split()) if done.returncode == 0 else last
    print(f"{'as said' if well else 'NOT AS SAID'}: {block.place} ({block.said}): {words[:160]}")
    return well


if __name__ == "__main__":
    sys.exit(main())
