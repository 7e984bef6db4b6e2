"""Whether the socket of the present exchange had carried one before, as aiohttp's connector tells of it."""

from __future__ import annotations

from contextvars import ContextVar

#: Set by the connector in the task that asks for a socket. Not a trace of aiohttp's, which costs each call 10 µs.
carried_before: ContextVar[bool] = ContextVar("xinference_bridge_carried_before", default=False)
