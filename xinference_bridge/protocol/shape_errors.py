"""The errors for invalid responses. Pure."""

from __future__ import annotations

from typing import Any

from xinference_bridge.errors import XinferenceError, XinferenceProtocolError
from xinference_bridge.protocol.error_responses import error_from_answer, error_told
from xinference_bridge.protocol.http import JSON, Response


def json_answer(response: Response) -> JSON:
    """Return the answer as a JSON object.

    Raises:
        XinferenceProtocolError: It is none.
        XinferenceError: It tells of an error under HTTP 200, and this is what it stands for.
    """
    data = response.json()
    if not isinstance(data, dict) or ("choices" not in data and error_told(data) is not None):
        raise unexpected_answer(response, "a JSON object")
    return data


def unexpected_answer(response: Response, wanted: str) -> XinferenceError:
    """Return the error for a response without the expected content: the server's own, or one that quotes its start."""
    if (told := error_from_answer(response)) is not None:
        return told
    beginning = response.body[:200].decode("utf-8", "replace")
    msg = f"{response.url} answered {response.status} without {wanted}. It began: {beginning!r}"
    return XinferenceProtocolError(
        msg, url=response.url, status_code=response.status, request_id=response.request_id, body=beginning
    )


def wrong_shape(what: str, wanted: str, got: Any) -> XinferenceProtocolError:
    """The error for an answer whose JSON has another type than `wanted` at the place that `what` names."""
    return XinferenceProtocolError(
        f"The answer is not a Xinference server's: {what} should be {wanted}, and is {type(got).__name__}. "
        "Check that the URL is a Xinference server's and that no proxy rewrites its answers."
    )
