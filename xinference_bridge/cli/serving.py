"""A UID or a name, as it was typed → the model to call."""

from __future__ import annotations

from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.errors import XinferencePermissionError
from xinference_bridge.served_model import ServedModel
from xinference_bridge.wire import Ability


def served_model(connection: XinferenceConnection, uid_or_name: str, ability: Ability) -> ServedModel:
    """The running model with this UID or unique name, which must serve the ability.

    Raises XinferenceModelNotFoundError and XinferenceModelTypeError, which say what runs instead.
    """
    try:
        return ServedModel(connection, connection.check(uid_or_name, ability).uid)
    except XinferencePermissionError:
        # A key may be allowed to call one model and not to list them; then it was given the UID.
        return ServedModel(connection, uid_or_name)
