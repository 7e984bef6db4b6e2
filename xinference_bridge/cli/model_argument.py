"""From a UID or name to the UID of the model to call."""

from __future__ import annotations

from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.errors import XinferenceConfigurationError, XinferencePermissionError
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
        # A key may be allowed to call a model but not to list models. Then the user must have given the UID.
        return uid_or_name


def only_model(connection: XinferenceConnection, ability: Ability) -> str:
    """Return the UID of the only running model with the ability, for a command without a UID.

    Raises:
        XinferenceConfigurationError: None runs, or several; the message lists them.
    """
    able = [model.uid for model in connection.models() if model.can(ability)]
    if len(able) == 1:
        return able[0]
    if able:
        raise XinferenceConfigurationError(f"several {ability} models are running; name one of {', '.join(able)}")
    url = connection.server_url
    raise XinferenceConfigurationError(
        f"no {ability} model is running at {url}; launch one with `xinference launch -e {url} --model-name …`"
    )
