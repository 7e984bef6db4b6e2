"""Shared code of the classes for audio, images and documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.documents.base import Blob
from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import PromptValue

from xinference_bridge.client.uploads import FileLike
from xinference_bridge.connection_settings import CallOptions
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.integration.parameters import OPEN, options_from, unknown


def file_of(blob: Blob) -> FileLike:
    """Return what a blob holds: its bytes, or its path, which is sent from disk.

    Raises:
        XinferenceConfigurationError: It holds text.
    """
    if isinstance(blob.data, bytes):
        return blob.data
    if blob.data is not None:
        raise XinferenceConfigurationError("the blob holds text; it must hold bytes, or the path of a file")
    if blob.path is None:
        raise XinferenceConfigurationError("the blob is empty")
    return str(blob.path)


def metadata_of(blob: Blob, **more: Any) -> dict[str, Any]:
    """Return the metadata of a document made of a blob; what is None is left out."""
    source = {} if blob.source is None else {"source": blob.source}
    return {**source, **blob.metadata, **{name: value for name, value in more.items() if value is not None}}


def call_settings(
    fields: Mapping[str, Any], model_kwargs: Mapping[str, Any], keywords: Mapping[str, Any], where: str
) -> tuple[dict[str, Any], dict[str, Any], CallOptions]:
    """Return what one call asks for, the parameters for the model alone, and its options.

    Args:
        fields: The values of the object's own fields.
        model_kwargs: The parameters that the object was given for the server.
        keywords: What the call states: fields, `model_kwargs`, and `timeout`, `deadline`, `max_retries`.
        where: Whose call it is, for errors.

    Raises:
        XinferenceConfigurationError: A keyword is unknown.
    """
    own = dict(keywords)
    options = options_from(own, where)
    more = dict(model_kwargs)
    for name in OPEN:
        more.update(own.pop(name, None) or {})
    for name in own:
        if name not in fields:
            raise unknown(name, fields, where)
    return {**fields, **own}, more, options


def text_of(value: Any, what: str) -> str:
    """Return the text of what a chain hands on: a string, a message or a prompt.

    Raises:
        XinferenceConfigurationError: It is something else.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, BaseMessage):
        return str(value.text)
    if isinstance(value, PromptValue):
        return value.to_string()
    msg = f"{what} must be a string, a message or a prompt, got {type(value).__name__}"
    raise XinferenceConfigurationError(msg)
