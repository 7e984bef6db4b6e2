"""Where a connection gets its gate: one for each server and credential of this process.

The gate outlives the connection that asked for it, so that a program which builds a new connection for each request
still learns from the refusal of the last one.
"""

from __future__ import annotations

import hashlib
import os
import threading

from pydantic import SecretStr

from xinference_bridge.client.auth.api_key import KeyGate
from xinference_bridge.client.auth.gate import CredentialGate, Get, OpenGate, Permit, Post, proves_credential
from xinference_bridge.client.auth.login import LoginGate
from xinference_bridge.client.auth.refusals import ServerRefusals, refused_message
from xinference_bridge.client.auth.shared_refusals import SharedRefusals
from xinference_bridge.errors import XinferenceConfigurationError

__all__ = ["CredentialGate", "Get", "Permit", "Post", "gate_for", "proves_credential", "refused_message", "reset"]

# A service that passes on its users' own keys meets many; the oldest gates go first.
MOST_GATES = 4096

_salt = os.urandom(16)
_lock = threading.Lock()
_gates: dict[tuple[str, str, bytes], CredentialGate] = {}
_refusals: dict[str, ServerRefusals] = {}


def gate_for(
    server_url: str,
    api_key: str | None,
    username: str | None,
    password: str | None,
    *,
    post: Post,
    get: Get | None = None,
) -> CredentialGate:
    """The gate of this server and credential, the same object for equal arguments.

    An API key wins over user and password; without either the gate lets everybody pass. `post` and `get` of the latest
    caller are used, so they must not end with one connection's session: let them open what they need.
    Raises XinferenceConfigurationError when only one of user and password is given.
    """
    if api_key is None and (username is None) != (password is None):
        missing = "password / XINFERENCE_PASSWORD" if password is None else "username / XINFERENCE_USERNAME"
        raise XinferenceConfigurationError(f"A login at {server_url} needs both user and password: set {missing}.")
    kind = "key" if api_key is not None else "login" if username is not None else "open"
    name = (server_url, kind, _digest(api_key) if api_key is not None else _digest(username, password))
    with _lock:
        gate = _gates.get(name)
        if gate is None:
            while len(_gates) >= MOST_GATES:
                del _gates[next(iter(_gates))]
            refusals = _refusals.setdefault(server_url, ServerRefusals())
            if api_key is not None:
                gate = KeyGate(server_url, api_key, refusals=refusals, shared=SharedRefusals(server_url))
            elif username is not None and password is not None:
                gate = LoginGate(
                    server_url,
                    username,
                    SecretStr(password),
                    post=post,
                    refusals=refusals,
                    shared=SharedRefusals(server_url),
                )
            else:
                gate = OpenGate(server_url)
            _gates[name] = gate
        if isinstance(gate, KeyGate):
            gate.get = get
        elif isinstance(gate, LoginGate):
            gate.post = post
        return gate


def reset() -> None:
    """Every gate and verdict of this process is forgotten."""
    with _lock:
        _gates.clear()
        _refusals.clear()


def reset_after_fork() -> None:
    """In a forked child: new locks, nobody waiting, and the parent's verdicts kept, for the address is the same."""
    global _lock  # noqa: PLW0603  a lock held by another thread of the parent is never released here
    _lock = threading.Lock()
    for gate in _gates.values():
        gate.renew_after_fork()


def _digest(*secrets: str | None) -> bytes:
    """A name for a credential that does not give it away when the registry is printed."""
    mac = hashlib.blake2b(key=_salt, digest_size=16)
    for secret in secrets:
        encoded = ("" if secret is None else secret).encode("utf-8", "surrogatepass")
        mac.update(len(encoded).to_bytes(8, "big") + encoded)
    return mac.digest()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reset_after_fork)
