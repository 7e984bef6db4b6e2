"""The registry of gates: one for each server and credential in this process.

A gate outlives its connection, so that a program that builds a new connection for each request
still learns from earlier rejections.
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

# A service that forwards its users' keys has many; the oldest gates are dropped first.
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
    """Return the gate of this server and credential, the same object for equal arguments.

    An API key takes precedence over username and password. Without either, the gate lets all callers pass. The latest
    caller's `post` and `get` are used, so they must not depend on one connection's session.
    Raises XinferenceConfigurationError if only one of username and password is given.
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
    """Forget all gates and verdicts of this process."""
    with _lock:
        _gates.clear()
        _refusals.clear()


def reset_after_fork() -> None:
    """In a forked child: create new locks and keep the parent's verdicts, because the IP address is the same."""
    global _lock  # noqa: PLW0603  a lock held by another thread of the parent is never released here
    _lock = threading.Lock()
    for gate in _gates.values():
        gate.renew_after_fork()


def _digest(*secrets: str | None) -> bytes:
    """Return a name for a credential that does not reveal it when the registry is printed."""
    mac = hashlib.blake2b(key=_salt, digest_size=16)
    for secret in secrets:
        encoded = ("" if secret is None else secret).encode("utf-8", "surrogatepass")
        mac.update(len(encoded).to_bytes(8, "big") + encoded)
    return mac.digest()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reset_after_fork)
