"""A flow is a generator that yields requests for I/O. A sync or async driver performs them and sends the results back.

The rules for flows: no `yield` in a `finally`; only this package's errors are caught; cleanup is sync. Whatever a
driver raises, including a cancellation and a KeyboardInterrupt, is thrown into the flow, so that its `finally` blocks
run.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from xinference_bridge.client.auth.gate import CredentialGate
    from xinference_bridge.client.transport.call import Call
    from xinference_bridge.protocol.event_stream import StreamEvents

Result = TypeVar("Result")
Flow: TypeAlias = Generator[Any, Any, Result]


@dataclass(slots=True)
class Send:
    """Send a call. The result is the complete `Response`, with any status."""

    call: Call
    authorization: str | None


@dataclass(slots=True)
class OpenStream:
    """Send a call. The result is a stream whose head has arrived."""

    call: Call
    authorization: str | None


@dataclass(slots=True)
class ReadRest:
    """Read the rest of a stream. The result is a `Response`; used for errors."""

    stream: Any


@dataclass(slots=True)
class ReadFirstEvent:
    """Read a stream until `events` has an event or the stream ends. The result is the iterator of further chunks."""

    stream: Any
    events: StreamEvents


@dataclass(slots=True)
class Via:
    """Run a flow of another server's client, for failover. The result is that flow's result."""

    client: Any
    flow: Flow[Any]


@dataclass(slots=True)
class Sleep:
    """Wait for this many seconds. The result is None."""

    seconds: float


@dataclass(slots=True)
class EnterGate:
    """Wait until the credential may be sent. The result is a `Permit`."""

    gate: CredentialGate
    timeout: float | None


@dataclass(slots=True)
class Acquire:
    """Acquire one of `limit` slots for `key`. The result is a sync function that releases it.

    Raises XinferenceTimeoutError if the call's deadline passes first.
    """

    key: Hashable
    limit: int
    call: Call
