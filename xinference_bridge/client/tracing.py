"""The W3C trace context of the caller, sent along with every request where OpenTelemetry is in use."""

from __future__ import annotations

import sys


def add_trace_context(headers: dict[str, str]) -> None:
    """Add `traceparent`, and what else the program's propagators write, to the headers of a request.

    Where nothing in the process has imported OpenTelemetry nobody traces, and this does nothing.
    """
    if "opentelemetry" in sys.modules:
        from opentelemetry.propagate import inject

        inject(headers)
