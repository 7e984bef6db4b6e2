"""Server-sent events: bytes in, the `data` of each completed event out."""

from __future__ import annotations


class SSEDecoder:
    """Cuts a byte stream, in whatever pieces it comes, into the `data` payloads of its events."""

    def __init__(self, *, max_event_bytes: int = 64 * 1024 * 1024) -> None:
        raise NotImplementedError

    @property
    def pending(self) -> bool:
        """Whether bytes of an event that never ended are left: the connection was cut in its midst."""
        raise NotImplementedError

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads of the events that these bytes complete."""
        raise NotImplementedError

    def close(self) -> list[bytes]:
        """Always empty: an unterminated event is discarded, and `pending` tells of it."""
        raise NotImplementedError
