"""The UID of the model to call: from a UID or name that was typed, or the only one that runs."""

from __future__ import annotations

from xinference_bridge.cli.options import UsageError
from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.errors import XinferencePermissionError
from xinference_bridge.protocol.http import Ability


def uid_of(connection: XinferenceConnection, uid_or_name: str, ability: Ability) -> str:
    """Return the UID of the running model with this UID or unique name, which must serve the ability.

    Raises:
        XinferenceModelNotFoundError: No such model runs; the message says what runs instead.
        XinferenceModelTypeError: The model is of another type.
    """
    try:
        return connection.check(uid_or_name, ability).uid
    except XinferencePermissionError:
        # A key may be allowed to call one model and not to list them; then it was given the UID.
        return uid_or_name


def only_uid(connection: XinferenceConnection, ability: Ability) -> str:
    """Return the UID of the only running model with the ability.

    Raises:
        UsageError: There is none, or there are several; the message lists them.
    """
    able = [model.uid for model in connection.models() if model.can(ability)]
    if not able:
        raise UsageError(f"no {ability} model runs at {connection.server_url}; `xinference launch` starts one")
    if len(able) > 1:
        raise UsageError(
            f"{len(able)} {ability} models run: {', '.join(able)}. Name one: xinference-bridge {ability} UID"
        )
    return able[0]
