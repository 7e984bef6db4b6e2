"""Server-sent events: bytes in, the `data` of each completed event out.

Follows https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream. Of the fields only
`data` matters here: Xinference names no events, numbers none, and its comments are pings.
"""

from __future__ import annotations

from xinference_bridge.errors import XinferenceProtocolError

_BOM = b"\xef\xbb\xbf"


class SSEDecoder:
    """Cuts a byte stream, in whatever pieces it comes, into the `data` payloads of its events.

    Lines end in CRLF, LF or CR, in any mix. Raises XinferenceProtocolError at an event of more than `max_event_bytes`.
    """

    __slots__ = ("_cut", "_data", "_head", "_held", "_max", "_skip_lf", "_tail")

    def __init__(self, *, max_event_bytes: int = 64 * 1024 * 1024) -> None:
        self._max = max_event_bytes
        self._head: bytes | None = b""  # the first bytes, while they may still be a byte order mark; then None
        self._tail: list[bytes] = []  # pieces of a line that has not ended
        self._data: list[bytes] = []  # the data lines of an event that has not ended
        self._held = 0  # bytes taken since the last event ended
        self._skip_lf = False  # the last byte was a CR, which ends a line at once; an LF right after belongs to it
        self._cut = False

    @property
    def pending(self) -> bool:
        """Whether bytes of an event that has not ended are left: at the end of a stream, that it was cut off."""
        return self._cut or bool(self._tail or self._data or self._head)

    # One function on purpose: it runs once a chunk of the network, and its steps share their state.
    def feed(self, data: bytes) -> list[bytes]:  # noqa: C901, PLR0912
        """The payloads of the events that these bytes complete; lines of one event are joined by a newline."""
        if self._head is not None:
            data = self._head + data
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._head = data
                return []
            self._head = None
            data = data.removeprefix(_BOM)
        if self._skip_lf and data:
            self._skip_lf = False
            if data[:1] == b"\n":
                data = data[1:]
        if not data:
            return []

        size = len(data)
        tail = self._tail
        if (
            data.startswith(b"data: ")
            and data.find(b"\n") == size - 3
            and data.find(b"\r") == size - 4
            and data.endswith(b"\r\n\r\n")
            and not tail
            and not self._data
            and size <= self._max
        ):
            return [data[6:-4]]  # one event a read is what a model's tokens come as: half the time of the general way
        if tail:
            if b"\n" not in data and b"\r" not in data:
                # Kept in pieces: joining at every piece would take quadratic time for one long line.
                tail.append(data)
                self._hold(size)
                return []
            tail.append(data)
            data = b"".join(tail)
            tail.clear()

        lines = data.splitlines()  # of bytes: at CRLF, LF and CR alone
        if data.endswith(b"\r"):
            self._skip_lf = True
        elif not data.endswith(b"\n"):
            tail.append(lines.pop())

        events: list[bytes] = []
        pending = self._data
        ended = False
        for line in lines:
            if not line:
                ended = True
                if pending:
                    events.append(pending[0] if len(pending) == 1 else b"\n".join(pending))
                    pending.clear()
            elif line.startswith(b"data:"):
                pending.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line == b"data":
                pending.append(b"")
            # Everything else is a comment, a field that nothing here needs, or one to be ignored by the standard.

        if not tail and not pending:
            self._held = 0
        else:
            if ended:
                self._held = 0
                size = sum(map(len, tail)) + sum(map(len, pending))
            self._hold(size)
        if len(data) > self._max and any(len(event) > self._max for event in events):
            raise self._too_long()
        return events

    def close(self) -> list[bytes]:
        """Always empty: the standard discards an incomplete event; `pending` shows whether there is one."""
        self._cut = self.pending
        self._tail.clear()
        self._data.clear()
        self._head = None
        return []

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > self._max:
            raise self._too_long()

    def _too_long(self) -> XinferenceProtocolError:
        return XinferenceProtocolError(
            f"The stream holds an event of more than {self._max} bytes; no Xinference server sends such. "
            "Check that the URL is a Xinference server's."
        )
