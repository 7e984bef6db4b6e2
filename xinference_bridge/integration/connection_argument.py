"""The `connection=` argument of a bridge's model, combined with the model's own settings."""

from __future__ import annotations

from typing import Any

from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.connection_settings import header_pairs
from xinference_bridge.errors import XinferenceConfigurationError


def connection_from(connection: XinferenceConnection | None, **stated: Any) -> XinferenceConnection:
    """Return the connection of a model: the given one, with the model's own settings applied.

    Settings that are None are ignored. Without a connection, the rest comes from the environment and the defaults.
    """
    if connection is not None and not isinstance(connection, XinferenceConnection):
        msg = (
            f"connection must be an XinferenceConnection, got {type(connection).__name__}: pass an address as "
            "server_url=, or as XinferenceConnection(server_url)"
        )
        raise XinferenceConfigurationError(msg)
    changes = {name: value for name, value in stated.items() if value is not None}
    if connection is not None and changes.get("headers"):
        # Added to the connection's own; override those of the same name.
        mine = {name.lower(): (name, value) for name, value in connection.headers}
        mine.update({name.lower(): (name, value) for name, value in header_pairs(changes["headers"])})
        changes["headers"] = tuple(mine.values())
    if connection is None:
        return XinferenceConnection(**changes)
    return connection.derive(**changes) if changes else connection
