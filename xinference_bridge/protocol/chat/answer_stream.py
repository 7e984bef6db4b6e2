"""Convert the bytes of a streamed answer to deltas. A failure keeps the text so far. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from xinference_bridge.errors import XinferenceError, XinferenceStreamError
from xinference_bridge.protocol.chat.forced_call import GrowingAnswer
from xinference_bridge.protocol.chat.result import ChatDelta, ChatResult
from xinference_bridge.protocol.event_stream import StreamEvents
from xinference_bridge.protocol.http import JSON


class AnswerStream:
    """Reads one stream, for both transports. `check` raises if the complete answer is not the requested one."""

    def __init__(
        self, events: StreamEvents, answer: GrowingAnswer, check: Callable[[ChatResult], None] | None = None
    ) -> None:
        self._events = events
        self._answer = answer
        self._check = check
        self._begun = events.has_begun
        self._ended = False

    @property
    def done(self) -> bool:
        """Whether the server sent `[DONE]`."""
        return self._events.done

    def ready(self) -> Iterator[ChatDelta]:
        """Yield the deltas of the bytes that were read when the stream was opened."""
        return self._deltas(self._events.ready())

    def read(self, chunk: bytes) -> Iterator[ChatDelta]:
        """Yield the deltas that are complete with these bytes."""
        return self._deltas(self._events.read(chunk))

    def finish(self, request_id: str, headers: Mapping[str, str]) -> ChatDelta:
        """Return the last delta, with the complete answer as `final`.

        Raises:
            XinferenceConnectionError: The bytes ended in the middle of an event.
            XinferenceStreamError: The stream ended before the answer was complete.
        """
        if not self._events.done:
            self._events.end()
        last = self._answer.finish()
        self._ended = True
        if last.final is not None:
            last.final.request_id = request_id
            last.final.headers = headers
            if self._check is not None:
                self._check(last.final)
        return last

    def failed(self, error: XinferenceError) -> XinferenceError:
        """Return the error for a failure during the stream: with the text so far, if an event has arrived."""
        if not self._begun or self._ended or isinstance(error, XinferenceStreamError):
            return error  # nothing arrived, or the stream is complete and its answer was rejected
        broken = XinferenceStreamError(
            f"The stream broke off after {len(self._answer.text)} characters: {error.message}"
        ).like(error)
        broken.partial_text = self._answer.text
        return broken

    def _deltas(self, events: Iterable[JSON | None]) -> Iterator[ChatDelta]:
        feed = self._answer.feed
        for event in events:
            if event is None:
                self._answer.mark_done()
            elif (delta := feed(event)) is not None:
                yield delta
