"""Rejected credentials: the meaning of a 401, and the length of the cool-down."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal, TypeAlias

from xinference_bridge.errors import XinferenceError
from xinference_bridge.redaction import copy_of

Means: TypeAlias = Literal["nothing", "key", "password", "token"]


# Xinference 4.1.0: ten unknown keys or bad JWTs from one address within 300 s ban the address for 3600 s, and five uses
# of a disabled or expired key within 300 s ban that key there. Several processes may share the address. After the first
# rejection the cool-down is 60 s, so that a newly registered key soon works; after each further one it is as long as
# the server's window. A process thus adds at most two failures of one credential to any window, and four such processes
# stay below ten.
COOL_DOWN = 60.0


COOL_DOWN_REPEATED = 300.0


# The cool-down grows with each further rejection.
LONGEST_COOL_DOWN = 3600.0


def cool_down_after(refusals: int) -> float:
    """Return the cool-down in seconds after this many rejections in a row."""
    if refusals <= 1:
        return COOL_DOWN
    return min(LONGEST_COOL_DOWN, COOL_DOWN_REPEATED * 2.0 ** min(refusals - 2, 10))


# The same budget for all credentials of one server: a process that tries many different wrong keys (one for each of
# its users) stops before the tenth, and leaves one for another program at this address.
REFUSAL_WINDOW = 300.0


MOST_REFUSALS = 8

#: Appended to the message if this process did not send the credential itself.
REJECTED_ELSEWHERE = " Another process of this user received this response."


def refused_message(server_url: str, means: Means, cool_down: float = COOL_DOWN) -> str:
    """Return the message for a 401, by the kind of credential, with the next step."""
    ban = "because ten such failures make the server ban this IP address for an hour"
    if means == "key":
        return (
            f"{server_url} rejected this API key (401). Check api_key / XINFERENCE_API_KEY; it is not sent again "
            f"for {cool_down:.0f} s, {ban}."
        )
    if means == "password":
        return (
            f"{server_url} rejected this username and password (401). Check username / XINFERENCE_USERNAME and "
            f"password / XINFERENCE_PASSWORD; they are not sent again for {cool_down:.0f} s."
        )
    if means == "token":
        return (
            f"{server_url} rejected a token that it had issued itself (401). Check that all servers behind this URL "
            f"share one authentication database; no new login is tried for {cool_down:.0f} s, {ban}."
        )
    return (
        f"{server_url} requires a credential (401), but none was given. Set api_key / XINFERENCE_API_KEY, or username "
        "and password / XINFERENCE_USERNAME and XINFERENCE_PASSWORD."
    )


@dataclass(frozen=True)
class Refusal:
    """A rejection that is remembered until `until`, on the gate's clock."""

    error: XinferenceError
    until: float

    def again(self, now: float) -> XinferenceError:
        """Return a copy of the error for a caller during the cool-down."""
        return copy_of(self.error).with_note(f"[refused earlier; {math.ceil(self.until - now)} s left]")


class ServerRefusals:
    """The times of the last rejections by one server, for any credential."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MOST_REFUSALS)

    def add(self, now: float) -> None:
        """Record a 401."""
        self._times.append(now)

    def rest(self, now: float) -> float:
        """Return the seconds until another wrong credential is safe; 0 if it is safe now."""
        times = self._times
        return max(0.0, times[0] + REFUSAL_WINDOW - now) if len(times) == MOST_REFUSALS else 0.0
