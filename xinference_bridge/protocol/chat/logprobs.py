"""Check the log probabilities of an answer's tokens. Pure."""

from __future__ import annotations

from typing import Any

from xinference_bridge.protocol.shape_errors import wrong_shape


def check_logprobs(entries: list[Any]) -> None:
    """Check the entries of `logprobs.content`, one per token.

    Raises:
        XinferenceProtocolError: An entry is not a token with its log probability and alternatives.
    """
    for entry in entries:
        _check(entry, "an entry of logprobs")
        tops = entry.get("top_logprobs")
        if tops is None:
            continue
        if type(tops) is not list:
            raise wrong_shape("top_logprobs", "a list", tops)
        for top in tops:
            _check(top, "an entry of top_logprobs")


def _check(entry: Any, what: str) -> None:
    if type(entry) is not dict:
        raise wrong_shape(what, "an object", entry)
    token, logprob, raw = entry.get("token"), entry.get("logprob"), entry.get("bytes")
    if type(token) is not str:
        raise wrong_shape(f"the token of {what}", "text", token)
    if logprob is not None and type(logprob) not in {int, float}:
        raise wrong_shape(f"the logprob of {what}", "a number", logprob)
    if raw is not None and (type(raw) is not list or not all(type(byte) is int for byte in raw)):
        raise wrong_shape(f"the bytes of {what}", "a list of numbers", raw)
