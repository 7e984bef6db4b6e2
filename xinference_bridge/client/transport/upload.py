"""Sends forms, sync and async: pieces are read from disk while sending, so a file is never whole in memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.protocol.multipart import Content, Form, pieces_of

#: Maximum bytes of one read from a file.
_CHUNK = 2**18


class FormUpload:
    """A form ready to send. Each attempt reads it anew."""

    __slots__ = ("_form", "_pieces", "content_type", "length")

    def __init__(self, form: Form) -> None:
        boundary = os.urandom(16).hex()
        self._form = form
        self._pieces = pieces_of(form, boundary)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.length = sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in self._pieces)

    def attempt(self, before_each: Callable[[], object]) -> Sending:
        """Return one attempt to send the form.

        Args:
            before_each: Called before each piece. If it raises, the attempt ends.
        """
        return Sending(self._pieces, self.length, self._form.on_progress, before_each)


class Sending:
    """The bytes of one attempt, in order. Either a sync or an async caller consumes them."""

    def __init__(
        self,
        pieces: list[bytes | Content],
        total: int,
        on_progress: Callable[[int, int], object] | None,
        before_each: Callable[[], object],
    ) -> None:
        self.sent = 0
        """The number of bytes passed to the socket."""
        self.failure: Exception | None = None
        """A local error while reading. HTTP libraries would report it as a connection failure."""
        self.total = total
        self._pieces = pieces
        self._on_progress = on_progress
        self._before_each = before_each

    def __iter__(self) -> Iterator[bytes]:
        with self:
            for data in self._read():
                self._before_each()
                yield data
                self._report(len(data))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reading = self._read()
        with self:
            # In a thread, because a slow disk would block the event loop.
            while data := await asyncio.to_thread(next, reading, b""):
                yield data
                self._report(len(data))

    def __enter__(self) -> None:
        """Record an error that is raised inside this context."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.failure = error

    def _report(self, size: int) -> None:
        self.sent += size
        if self._on_progress is not None:
            self._on_progress(self.sent, self.total)

    def _read(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from _chunks_of(piece)


def _chunks_of(content: Content) -> Iterator[bytes]:
    left = content.size
    with content.open() as file:
        while left:
            data = file.read(min(left, _CHUNK))
            if not data:
                # The length was announced: the server would wait for the rest.
                msg = f"the file became {left} bytes shorter while it was sent; send it once it is complete"
                raise XinferenceConfigurationError(msg)
            left -= len(data)
            yield data
