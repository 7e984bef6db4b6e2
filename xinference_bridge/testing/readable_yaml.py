"""How a recording is laid out in its file."""

from __future__ import annotations

import copy
from typing import Any

import yaml
from vcr.serializers import yamlserializer

from xinference_bridge.testing.bodies import as_base64, from_base64


class _Dumper(yaml.SafeDumper):
    """Refuses what a cassette should not hold: bytes that are not text."""

    def ignore_aliases(self, _data: Any) -> bool:
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
        """Return what `serialize` was given."""
        cassette: dict[str, Any] = yamlserializer.deserialize(text)
        for interaction in cassette["interactions"]:
            body = interaction["response"]["body"]
            if "crlf_lines" in body:
                body["string"] = "\r\n".join(body.pop("crlf_lines"))
            elif "base64" in body:
                body["string"] = from_base64(body.pop("base64"))
        return cassette
