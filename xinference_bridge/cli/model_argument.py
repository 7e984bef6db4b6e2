"""A UID or a name, as it was typed → the UID of the model to call."""

from __future__ import annotations

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
