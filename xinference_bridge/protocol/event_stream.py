"""Convert the bytes of a stream to events, for both transports. An error event raises the matching error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from xinference_bridge.errors import XinferenceError, XinferenceProtocolError
from xinference_bridge.protocol.connection_errors import cut_short
from xinference_bridge.protocol.error_responses import error_from_event, error_told
from xinference_bridge.protocol.http import JSON, Request
from xinference_bridge.protocol.sse import SSEDecoder


class StreamEvents:
    """Converts the bytes of one stream to events. An error event raises the matching error."""

    def __init__(self, request: Request, url: str, request_id: str) -> None:
        self.done = False
        """Whether the server sent `[DONE]`."""
        self._request = request
        self._url = url
        self._decoder = SSEDecoder()
        self._held: list[JSON | None] = []
        self._broken: XinferenceError | None = None
        self._request_id = request_id
        self._begun = False

    @property
    def has_begun(self) -> bool:
        """Whether an event was read ahead."""
        return bool(self._held)

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
            if payload[:1] != b"{" and not (payload := payload.strip()):
                continue  # an empty `data:` line, which gateways send to keep a connection open
            if payload == DONE:
                self.done = True
                yield None
                return
            event = event_from_payload(payload, self._url)
            if "choices" not in event or event.get("error") is not None:
                self._raise_error_of(event)
            self._begun = True
            yield event

    def _raise_error_of(self, event: JSON) -> None:
        told = error_told(event)
        if told is not None:
            raise error_from_event(self._request, told, url=self._url, request_id=self._request_id, begun=self._begun)

    def end(self) -> None:
        """End the stream. Raises XinferenceConnectionError if an event is incomplete."""
        self._decoder.close()
        if self._decoder.pending:
            raise cut_short(self._url, "amid an event", request_id=self._request_id)


def is_event_stream(headers: Mapping[str, str]) -> bool:
    """Return whether an answer of these headers says that it is a stream of events."""
    return "event-stream" in headers.get("content-type", "")


#: The `data` of the event that ends a chat stream. `/v1/completions` streams of 4.1.0 end without one.
DONE = b"[DONE]"


def event_from_payload(payload: bytes, url: str) -> JSON:
    """One event of a stream as a JSON object; raises XinferenceProtocolError when it is none."""
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError as broken:
        beginning = payload[:120].decode("utf-8", "replace")
        msg = f"{url} sent an event that is not JSON ({broken}): {beginning!r}"
        raise XinferenceProtocolError(msg, url=url, body=beginning) from None
    if not isinstance(event, dict):
        msg = f"{url} sent an event that is a {type(event).__name__}, not an object"
        raise XinferenceProtocolError(msg, url=url)
    return event
