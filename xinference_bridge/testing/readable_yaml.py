"""The file format of recordings."""

from __future__ import annotations

import copy
from typing import Any

import yaml
from vcr.serializers import yamlserializer

from xinference_bridge.testing.bodies import as_base64, from_base64


class _Dumper(yaml.SafeDumper):
    """Rejects bytes that are not text, which a cassette must not contain."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _no_bytes(_dumper: yaml.SafeDumper, data: bytes) -> yaml.Node:
    msg = f"Not text, so nobody could review it: {data[:60]!r}"
    raise yaml.representer.RepresenterError(msg)


_Dumper.add_representer(bytes, _no_bytes)


class ReadableYaml:
    """Writes cassettes that a person can review: each line of a stream is one line of the file, in order.

    YAML can represent a CRLF only as an escape in one long quoted string, and the server ends the lines of a stream
    with CRLF. Such a body is therefore stored as `crlf_lines`, a list of its lines. Bytes that are not text are stored
    as `base64`.
    """

    @staticmethod
    def serialize(cassette: dict[str, Any]) -> str:
        """Return the file's text."""
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
        """Return the cassette for a file's text."""
        cassette: dict[str, Any] = yamlserializer.deserialize(text)
        for interaction in cassette["interactions"]:
            body = interaction["response"]["body"]
            if "crlf_lines" in body:
                body["string"] = "\r\n".join(body.pop("crlf_lines"))
            elif "base64" in body:
                body["string"] = from_base64(body.pop("base64"))
        return cassette
