"""Bytes of a stream → its events, for both transports; an error sent under HTTP 200 becomes the error it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xinference_bridge import endpoints, failures
from xinference_bridge.errors import XinferenceError
from xinference_bridge.sse import SSEDecoder

if TYPE_CHECKING:
    from xinference_bridge.async_transport import AsyncStream
    from xinference_bridge.call import Call
    from xinference_bridge.sync_transport import SyncStream
    from xinference_bridge.wire import JSON


class StreamEvents:
    """Bytes of one stream → events; an error event becomes the error it stands for."""

    def __init__(self, call: Call, request_id: str) -> None:
        self.done = False
        """Whether the server said `[DONE]`."""
        self._call = call
        self._decoder = SSEDecoder()
        self._held: list[JSON | None] = []
        self._broken: XinferenceError | None = None
        self._request_id = request_id

    def hold(self, chunk: bytes) -> bool:
        """Read bytes ahead of the caller; whether an event has come."""
        try:
            for event in self.read(chunk):
                self._held.append(event)
        except XinferenceError as error:
            if not self._held:
                raise
            # Text came before the error in the same bytes: the caller gets it first.
            self._broken = error
        return bool(self._held)

    def ready(self) -> Iterator[JSON | None]:
        """The events that were read ahead."""
        yield from self._held
        if self._broken is not None:
            raise self._broken

    def read(self, chunk: bytes) -> Iterator[JSON | None]:
        """The events that these bytes complete, until the server says that it is done."""
        for payload in self._decoder.feed(chunk):
            if payload == endpoints.DONE:
                self.done = True
                yield None
                return
            event = endpoints.event_from_payload(payload, self._call.url)
            if event.get("error") is not None:
                raise failures.error_from_event(
                    self._call.request, event, url=self._call.url, request_id=self._request_id
                )
            yield event

    def end(self) -> None:
        """The bytes are at their end; raises XinferenceConnectionError when that is amid an event."""
        self._decoder.close()
        if self._decoder.pending:
            raise failures.cut_short(self._call.url, "amid an event", request_id=self._request_id)


def is_event_stream(stream: SyncStream | AsyncStream) -> bool:
    """Whether the answer says that it is a stream of events."""
    return "event-stream" in stream.headers.get("content-type", "")
