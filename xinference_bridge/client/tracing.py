"""Sends the caller's W3C trace context with every request if OpenTelemetry is in use."""

from __future__ import annotations

import sys


def add_trace_context(headers: dict[str, str]) -> None:
    """Add `traceparent` and the other headers of the program's propagators to a request.

    Does nothing if the process has not imported OpenTelemetry.
    """
    if "opentelemetry" in sys.modules:
        from opentelemetry.propagate import inject

        inject(headers)
