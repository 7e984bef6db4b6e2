"""The server that the examples ask: a running one, or a recorded session where none runs."""

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

    A server that was named by XINFERENCE_ENDPOINT and does not answer is an error; an unnamed one is replaced by the
    recorded session, also where it answers but wants a credential that nobody gave.
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
    """The server's version where the credential may ask it; only an administrator's may."""
    version = connection.server_version(CallOptions(timeout=5.0, connect_timeout=2.0, max_retries=0))
    return f", version {version}" if version else ""


@contextmanager
def recorded_session() -> Iterator[XinferenceConnection]:
    """Every request answered from the recording, none sent."""
    from xinference_bridge.testing import REPLAY, open_recording

    with (
        open_recording(_RECORDING, REPLAY, record=False),
        XinferenceConnection(server_url=REPLAY.url, api_key=REPLAY.api_key) as connection,
    ):
        yield connection
