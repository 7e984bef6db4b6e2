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


def chosen_model(connection: XinferenceConnection, uid_or_name: str | None, ability: Ability) -> str:
    """Return the UID of the model that --model names, or of the only one that serves the ability.

    Raises:
        XinferenceModelNotFoundError: No such model runs.
        XinferenceModelTypeError: The model is of another type.
        XinferenceConfigurationError: No model was given, and none or several run.
    """
    return only_model(connection, ability) if uid_or_name is None else uid_of(connection, uid_or_name, ability)


def only_model(connection: XinferenceConnection, ability: Ability) -> str:
    """Return the UID of the only running model with the ability, for a command without a UID.

    Raises:
        XinferenceConfigurationError: None runs, or several; the message lists them.
    """
    able = [model.uid for model in connection.models() if model.can(ability)]
    if len(able) == 1:
        return able[0]
    what = _NAMED.get(ability, f"{ability} model")
    if able:
        raise XinferenceConfigurationError(f"several {what}s are running; name one of {', '.join(able)}")
    url = connection.server_url
    article = "an" if what[0] in "aeiouAEIO" else "a"
    raise XinferenceConfigurationError(
        f"no {what} is running at {url}; launch {article} {what} with `xinference launch -e {url} --model-name …`"
    )


_NAMED: dict[str, str] = {
    "transcribe": "speech-to-text model",
    "speak": "text-to-speech model",
    "generate_image": "image generation model",
    "ocr": "OCR model",
}
