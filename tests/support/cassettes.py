"""One recording: how it is matched, played, kept and written.

Stands on vcrpy 8.5.0, mended in three places: threads do not escape it, a response is played once even when many
threads ask at the same time, and what was asked for in vain is remembered.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
import re
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vcr
import yaml
from vcr.cassette import Cassette
from vcr.persisters.filesystem import FilesystemPersister
from vcr.record_mode import RecordMode
from vcr.serialize import serialize
from vcr.serializers import yamlserializer
from vcr.stubs import VCRHTTPResponse

from tests.support.bodies import as_base64, from_base64
from tests.support.scrub import Scrubber

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from vcr.request import Request

    from tests.support.scrub import Lab

_LONGEST_NAME = 120

# Streams are read by urllib3's `read1(amount, decode_content=…)`, whose second argument vcrpy passes on to BytesIO.
VCRHTTPResponse.read1 = lambda self, amount=-1, **_: self._content.read1(amount)


def cassette_path(folder: Path, module: Path, name: str) -> Path:
    """Where a test's recording lives: `module` is its path below tests/, `name` what follows it in the test's id."""
    return folder / module.with_suffix("") / cassette_name(name)


def cassette_name(name: str) -> str:
    """The name of a recording's file, for a test of this name."""
    safe = re.sub(r"-+", "-", re.sub(r"[^\w.]+", "-", name.replace("::", "."))).strip("-.")
    if len(safe) > _LONGEST_NAME:
        safe = f"{safe[:_LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"{safe}.yaml"


@lru_cache(maxsize=4096)
def _canonical(body: str | bytes | None) -> str:
    """The body with everything taken out that may differ: JSON by its meaning, without its `request_id`."""
    text = body.decode() if isinstance(body, bytes) else body or ""
    try:
        parsed = json.loads(text)
    except ValueError:
        return text
    if isinstance(parsed, dict):
        parsed.pop("request_id", None)
    # As text, not as objects: in Python `true`, `1` and `1.0` are equal.
    return json.dumps(parsed, sort_keys=True, indent=1, ensure_ascii=False)


def body_as_json(sent: Request, recorded: Request) -> bool:
    """Whether two bodies say the same."""
    return _canonical(sent.body) == _canonical(recorded.body)


class Recording(Cassette):  # type: ignore[misc]
    """A test's exchanges with the server."""

    def __init__(self, *args: Any, scrubber: Scrubber, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.missed: list[str] = []
        """Requests that found no recorded answer."""
        self.keep = False
        """Whether to write what was recorded; set when the test has passed."""
        self._scrubber = scrubber
        self._lock = threading.RLock()

    @property
    def unplayed(self) -> list[str]:
        """Recorded requests that nobody sent."""
        return [_brief(r) for i, (r, _) in enumerate(self.data) if not self.play_counts[i]]

    def append(self, request: Request, response: dict[str, Any]) -> None:
        with self._lock:
            if not self.write_protected:
                response = self._scrubber.response(request, copy.deepcopy(response))
            super().append(request, response)

    def play_response(self, request: Request) -> dict[str, Any]:
        with self._lock:  # finding an answer and marking it as played are one step, or two threads get the same
            return super().play_response(request)  # type: ignore[no-any-return]

    def find_requests_with_most_matches(
        self, request: Request
    ) -> list[tuple[Request, list[str], list[tuple[str, str]]]]:
        """What vcrpy asks when it gives up on a request; told with the difference between the bodies."""
        with self._lock:
            sent = self.filter_request(request)
            self.missed.append(_brief(sent))
            return [
                (
                    recorded,
                    same,
                    [(name, _difference(sent, recorded) if "body" in name else why) for name, why in different],
                )
                for recorded, same, different in super().find_requests_with_most_matches(request)
            ]

    def _save(self, force: bool = False) -> None:
        if not self.keep:
            return
        super()._save(force)
        if not self.data:
            Path(self._path).unlink(missing_ok=True)

    def _load(self) -> None:
        if self.record_mode != RecordMode.ALL:  # what is recorded anew owes nothing to what stood there
            super()._load()


def _brief(request: Request) -> str:
    body = _canonical(request.body)
    return f"{request.method} {request.path} {' '.join(body.split())[:200]}"


def _difference(sent: Request, recorded: Request) -> str:
    lines = difflib.unified_diff(
        _canonical(recorded.body).splitlines(), _canonical(sent.body).splitlines(), "recorded", "sent", lineterm=""
    )
    return "\n".join(lines)


class _Dumper(yaml.SafeDumper):
    """Refuses what a cassette should not hold: bytes that are not text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _no_bytes(_dumper: yaml.SafeDumper, data: bytes) -> yaml.Node:
    msg = f"Not text, so nobody could review it: {data[:60]!r}"
    raise yaml.representer.RepresenterError(msg)


_Dumper.add_representer(bytes, _no_bytes)


class ReadableYaml:
    """Cassettes that a person can review: a stream stands one line a line, in the order in which things happened.

    YAML can hold a CRLF only as an escape in one long quoted string, and the server ends its stream's lines with it. So
    such a body is kept as `crlf_lines`: the list of what stands between. Bytes that are no text are kept as `base64`.
    """

    @staticmethod
    def serialize(cassette: dict[str, Any]) -> str:
        cassette = copy.deepcopy(cassette)
        for interaction in cassette["interactions"]:
            body = interaction["response"]["body"]
            if isinstance(body.get("string"), bytes):
                body["base64"] = as_base64(body.pop("string"))
            elif "\r\n" in (body.get("string") or ""):
                body["crlf_lines"] = body.pop("string").split("\r\n")
        return yaml.dump(cassette, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)

    @staticmethod
    def deserialize(text: str) -> dict[str, Any]:
        cassette: dict[str, Any] = yamlserializer.deserialize(text)
        for interaction in cassette["interactions"]:
            body = interaction["response"]["body"]
            if "crlf_lines" in body:
                body["string"] = "\r\n".join(body.pop("crlf_lines"))
            elif "base64" in body:
                body["string"] = from_base64(body.pop("base64"))
        return cassette


class _Utf8Files(FilesystemPersister):  # type: ignore[misc]
    @staticmethod
    def save_cassette(cassette_path: str, cassette_dict: dict[str, Any], serializer: Any) -> None:
        path = Path(cassette_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(serialize(cassette_dict, serializer), encoding="utf-8", newline="\n")


def open_recording(path: Path, lab: Lab, *, record: bool) -> AbstractContextManager[Recording]:
    """Plays the recording at `path`, each exchange once; with `record`, talks to the lab and replaces it."""
    scrubber = Scrubber(lab)
    machine = vcr.VCR()
    machine.register_serializer("readable", ReadableYaml)
    machine.register_persister(_Utf8Files)
    machine.register_matcher("body_as_json", body_as_json)
    config = machine.get_merged_config(
        path=str(path),
        serializer="readable",
        record_mode=RecordMode.ALL if record else RecordMode.NONE,
        match_on=("method", "path", "query", "body_as_json"),  # not host and port: the lab's differ from run to run
        before_record_request=scrubber.request,
        decode_compressed_response=record,
        allow_playback_repeats=False,
    )
    return Recording.use(scrubber=scrubber, **config)  # type: ignore[no-any-return]
