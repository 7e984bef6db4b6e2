"""Whether the socket of the current exchange was used before, as reported by the aiohttp connector."""

from __future__ import annotations

from contextvars import ContextVar

#: Set by the connector in the task that requests a socket. Not aiohttp's tracing, which costs 10 µs per call.
carried_before: ContextVar[bool] = ContextVar("xinference_bridge_carried_before", default=False)
