"""A flow is a generator that yields what it needs; a driver carries that out, sync or async, and sends the result back.

The rules for flows: no `yield` in a `finally`; only errors of our own are caught; cleanup is sync. Whatever a driver
raises, a cancellation and a KeyboardInterrupt included, is thrown into the flow, so that its `finally` blocks run.
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
    """Send a call → the whole `Response`, whatever its status."""

    call: Call
    authorization: str | None


@dataclass(slots=True)
class OpenStream:
    """Send a call → a stream whose head has arrived and whose bytes are still to come."""

    call: Call
    authorization: str | None


@dataclass(slots=True)
class ReadRest:
    """Read what is left of a stream → a `Response`, as an error under a stream's URL is read."""

    stream: Any


@dataclass(slots=True)
class ReadFirstEvent:
    """Read a stream until `events` holds an event or the bytes end → the iterator of the chunks that follow."""

    stream: Any
    events: StreamEvents


@dataclass(slots=True)
class Via:
    """Carry out a flow of another server's client → its result. A failover asks that server so."""

    client: Any
    flow: Flow[Any]


@dataclass(slots=True)
class Sleep:
    """Wait for so many seconds → None."""

    seconds: float


@dataclass(slots=True)
class EnterGate:
    """Wait until the credential may be sent → a `Permit`."""

    gate: CredentialGate
    timeout: float | None


@dataclass(slots=True)
class Acquire:
    """Take one of `limit` places under `key` → a function that gives it back, sync in both worlds.

    Raises XinferenceTimeoutError when the call's deadline passes first.
    """

    key: Hashable
    limit: int
    call: Call
