"""The `connection=` argument of a bridge's model, changed by what the model states itself."""

from __future__ import annotations

from typing import Any

from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.connection_settings import header_pairs
from xinference_bridge.errors import XinferenceConfigurationError


def connection_from(connection: XinferenceConnection | None, **stated: Any) -> XinferenceConnection:
    """The connection of a model: the one it was given, changed by what the model states itself.

    A stated setting that is None is not stated. Without a connection the environment and the defaults fill the rest.
    """
    if connection is not None and not isinstance(connection, XinferenceConnection):
        msg = (
            f"connection must be an XinferenceConnection, got {type(connection).__name__}: give an address as "
            "server_url=, or XinferenceConnection(server_url)"
        )
        raise XinferenceConfigurationError(msg)
    changes = {name: value for name, value in stated.items() if value is not None}
    if connection is not None and changes.get("headers"):
        # Beside the connection's own, and before those of the same name.
        mine = {name.lower(): (name, value) for name, value in connection.headers}
        mine.update({name.lower(): (name, value) for name, value in header_pairs(changes["headers"])})
        changes["headers"] = tuple(mine.values())
    if connection is None:
        return XinferenceConnection(**changes)
    return connection.derive(**changes) if changes else connection
