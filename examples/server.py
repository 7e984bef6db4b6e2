"""The server for the examples: a running one, or a recorded session if none is running."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xinference_bridge import (
    XinferenceAuthenticationError,
    XinferenceConnection,
    XinferenceConnectionError,
    XinferenceTimeoutError,
)
from xinference_bridge.connection_settings import CallOptions

_ROOT = Path(__file__).parent.parent
_RECORDING = (
    _ROOT / "cassettes" / "test_quickstart" / "test_the_quickstart_answers_from_a_chain_and_from_documents.yaml"
)


@contextmanager
def server_or_recording() -> Iterator[tuple[XinferenceConnection, str]]:
    """Yield a connection to a server or a recording, and a message about it.

    If XINFERENCE_ENDPOINT is set and that server does not answer, this raises an error. If it is not set, the recorded
    session is used when no server answers, or when the server requires a credential that is not given.
    """
    connection = XinferenceConnection()
    try:
        words = f"Asking the Xinference server at {connection.server_url}{_version(connection)}."
        connection.models()
    except (XinferenceConnectionError, XinferenceTimeoutError, XinferenceAuthenticationError) as error:
        if os.environ.get("XINFERENCE_ENDPOINT") or connection.api_key or connection.username:
            raise
        locked = isinstance(error, XinferenceAuthenticationError)
        words = "the server at {} asks for a credential" if locked else "no server answers at {}"
    else:
        with connection:
            yield connection, words
        return
    with recorded_session() as recorded:
        why = words.format(connection.server_url)
        hint = "`make lab` starts a real one with tiny models; then run this again"
        own = "Your own: set XINFERENCE_ENDPOINT and XINFERENCE_API_KEY"
        yield recorded, f"Replaying a recorded session: {why}. {hint}. {own}."


def _version(connection: XinferenceConnection) -> str:
    """Return the server's version if the credential is an administrator's."""
    version = connection.server_version(CallOptions(timeout=5.0, connect_timeout=2.0, max_retries=0))
    return f", version {version}" if version else ""


@contextmanager
def recorded_session() -> Iterator[XinferenceConnection]:
    """Answer every request from the recording. Send none."""
    from xinference_bridge.testing import REPLAY, open_recording

    with (
        open_recording(_RECORDING, REPLAY, record=False),
        XinferenceConnection(server_url=REPLAY.url, api_key=REPLAY.api_key) as connection,
    ):
        yield connection
