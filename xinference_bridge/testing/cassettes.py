"""One recording: how it is matched, played and saved.

Extends vcrpy: each response is played once even if many threads send requests at the same time, requests without a
recorded response are remembered, and only the traffic of a passing test is written.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
import threading
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vcr
from vcr.cassette import Cassette
from vcr.errors import CannotOverwriteExistingCassetteException
from vcr.persisters.filesystem import FilesystemPersister
from vcr.record_mode import RecordMode
from vcr.serialize import serialize

from xinference_bridge.testing.hygiene import secrets
from xinference_bridge.testing.readable_yaml import ReadableYaml
from xinference_bridge.testing.scrub import Scrubber
from xinference_bridge.testing.server import CREDENTIALS_LINE, REPLAY, RecordedServer
from xinference_bridge.testing.vcr_fixes import fix_vcrpy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vcr.request import Request


@lru_cache(maxsize=4096)
def _canonical(body: str | bytes | None) -> str:
    """Return the body without the parts that may differ: JSON in a canonical form, without its `request_id`."""
    text = body.decode() if isinstance(body, bytes) else body or ""
    try:
        parsed = json.loads(text)
    except ValueError:
        return text
    if isinstance(parsed, dict):
        parsed.pop("request_id", None)
        _dedent_docstrings(parsed)
    # As text and not as objects, because in Python `true`, `1` and `1.0` are equal.
    return json.dumps(parsed, sort_keys=True, indent=1, ensure_ascii=False)


def _dedent_docstrings(body: dict[str, Any]) -> None:
    """Remove the indentation from tool descriptions: Python 3.13 removes it from docstrings, older versions do not."""
    for tool in tools if isinstance(tools := body.get("tools"), list) else []:
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict) and isinstance(text := function.get("description"), str):
            function["description"] = _INDENTATION.sub(r"\1", text)
    for message in messages if isinstance(messages := body.get("messages"), list) else []:
        # On engines that take no tools, they are described in the system message.
        if isinstance(message, dict) and message.get("role") == "system":
            text = message.get("content")
            if isinstance(text, str) and "<tools>" in text:
                message["content"] = _INDENTATION.sub(r"\1", text)


_INDENTATION = re.compile(r"(\n|\\n)[ \t]+")


def body_as_json(sent: Request, recorded: Request) -> bool:
    """Return whether two bodies are equivalent."""
    return _canonical(sent.body) == _canonical(recorded.body)


class SecretInRecordingError(ValueError):
    """A recording was not written because it contains a secret."""


class RecordingNotFoundError(CannotOverwriteExistingCassetteException):  # type: ignore[misc]
    """A request was sent while replaying a recording that does not exist."""

    @staticmethod
    def _get_message(cassette: Cassette, failed_request: Request) -> str:
        return (
            f"The recording {cassette._path} does not exist, so {failed_request.method} {failed_request.path} has no "  # noqa: SLF001
            "response. To record it, set XINFERENCE_ENDPOINT to the URL of a running server and run the test with "
            "--xinference-record=missing."
        )


class Recording(Cassette):  # type: ignore[misc]
    """A test's exchanges with the server."""

    def __init__(self, *args: Any, scrubber: Scrubber, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.missed: list[str] = []
        """Requests without a recorded response."""
        self.keep = False
        """Whether to write the recording; set when the test has passed."""
        self._scrubber = scrubber
        self._lock = threading.RLock()

    @property
    def unplayed(self) -> list[str]:
        """Recorded requests that the test did not send."""
        return [_brief(r) for i, (r, _) in enumerate(self.data) if not self.play_counts[i]]

    def append(self, request: Request, response: dict[str, Any]) -> None:
        """Record an exchange, without its secrets."""
        with self._lock:
            if not self.write_protected:
                response = self._scrubber.response(request, copy.deepcopy(response))
            super().append(request, response)

    def play_response(self, request: Request) -> dict[str, Any]:
        """Return the recorded response of a request, and count it as played."""
        with self._lock:  # find and mark in one step; otherwise two threads could get the same response
            return super().play_response(request)  # type: ignore[no-any-return]

    def find_requests_with_most_matches(
        self, request: Request
    ) -> list[tuple[Request, list[str], list[tuple[str, str]]]]:
        """Called by vcrpy for a request without a match. Adds the difference between the bodies to the report."""
        with self._lock:
            sent = self.filter_request(request)
            self.missed.append(_brief(sent))
            if not self.data and not Path(self._path).exists():
                raise RecordingNotFoundError(cassette=self, failed_request=sent)
            return [
                (
                    recorded,
                    same,
                    [(name, _difference(sent, recorded) if "body" in name else why) for name, why in different],
                )
                for recorded, same, different in super().find_requests_with_most_matches(request)
            ]

    def _save(self, force: bool = False) -> None:
        """Leave it to `write`: where writing fails, vcrpy never takes its patches back."""

    def write(self) -> None:
        """Write what was recorded, if it is to be kept.

        Raises:
            SecretInRecordingError: The search for secrets found one.
        """
        if not self.keep:
            return
        super()._save()
        if not self.data:
            Path(self._path).unlink(missing_ok=True)

    def _load(self) -> None:
        if self.record_mode != RecordMode.ALL:  # a new recording ignores the old file
            super()._load()


def _brief(request: Request) -> str:
    body = _canonical(request.body)
    return f"{request.method} {request.path} {' '.join(body.split())[:200]}"


def _difference(sent: Request, recorded: Request) -> str:
    lines = difflib.unified_diff(
        _canonical(recorded.body).splitlines(), _canonical(sent.body).splitlines(), "recorded", "sent", lineterm=""
    )
    return "\n".join(lines)


class _Utf8Files(FilesystemPersister):  # type: ignore[misc]
    """Writes recordings. If not all credentials were set, the first line lists those that were."""

    def __init__(self, server: RecordedServer) -> None:
        self._credentials = server.credentials

    def save_cassette(self, cassette_path: str, cassette_dict: dict[str, Any], serializer: Any) -> None:
        path = Path(cassette_path)
        text = serialize(cassette_dict, serializer)
        if found := secrets(text):
            message = "\n  ".join([f"Not written, because secrets are left in it: {path}", *found])
            raise SecretInRecordingError(message)
        if self._credentials != REPLAY.credentials:
            text = f"{CREDENTIALS_LINE}[{', '.join(self._credentials)}]\n{text}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def open_recording(path: Path, server: RecordedServer, *, record: bool) -> Iterator[Recording]:
    """Return a context in which HTTP requests are answered from a recording, each recorded response once.

    Inside it, every request of `requests`, `urllib3`, `aiohttp` and `httpx` in this process is matched by method, path,
    query and body. JSON bodies are compared by value; host and port are ignored. A request without a match raises
    vcrpy's `CannotOverwriteExistingCassetteException`, whose message shows the difference.

    Args:
        path: The file of the recording.
        server: The server whose address and credentials become placeholders.
        record: Whether to send the requests to the server and replace the file when the context ends. The file is
            written only if the recording's `keep` is True.
    """
    fix_vcrpy()
    scrubber = Scrubber(server)
    machine = vcr.VCR()
    machine.register_serializer("readable", ReadableYaml)
    machine.register_persister(_Utf8Files(server))
    machine.register_matcher("body_as_json", body_as_json)
    config = machine.get_merged_config(
        path=str(path),
        serializer="readable",
        record_mode=RecordMode.ALL if record else RecordMode.NONE,
        match_on=("method", "path", "query", "body_as_json"),  # not host and port: they differ from run to run
        before_record_request=scrubber.request,
        decode_compressed_response=record,
        allow_playback_repeats=False,
    )
    recording: Recording | None = None
    try:
        with Recording.use(scrubber=scrubber, **config) as recording:
            yield recording
    finally:
        if recording is not None:
            recording.write()
