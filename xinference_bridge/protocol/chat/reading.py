"""How to read the beginning of an answer, by the model's family, and when the family must be known. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from xinference_bridge.protocol.chat.channels import BARE_BEGINNINGS
from xinference_bridge.protocol.chat.tags import Start
from xinference_bridge.protocol.chat.thought_tags import ANY_TAG
from xinference_bridge.protocol.chat.tool_forms.table import forms_of
from xinference_bridge.protocol.engines import Engine
from xinference_bridge.protocol.families import OPENED_BY_TEMPLATE, REASONING_TAGS, TOOL_FORMS
from xinference_bridge.protocol.model_info import ModelInfo


def family_of(model: ModelInfo | None) -> str | None:
    """Return the built-in family that the model is, or that a registered one follows; None where it is not known."""
    names = (model.name, model.family) if model is not None else ()
    return next((name for name in names if name in REASONING_TAGS or name in TOOL_FORMS), None)


def start_of(model: ModelInfo | None, parameters: Mapping[str, Any], engine: Engine) -> Start:
    """Return where the first text belongs when no tag opens it, which a template may have put into the prompt."""
    if model is None or "reasoning" not in model.abilities:
        return "text"
    wanted = parameters.get("response_format")
    if engine.schema_from_the_first_token and isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        return "text"  # no thought can come before it
    if "hybrid" not in model.abilities:
        return "reasoning"
    if _thinking_is(False, parameters):
        return "text"
    family = family_of(model)
    if family in OPENED_BY_TEMPLATE:
        # The description does not tell whether the model was launched with `enable_thinking: false`.
        return "reasoning" if _thinking_is(True, parameters) else "opened"
    # A family whose template leaves the tag to the model: an answer that begins without it is no thought.
    return "text" if family in REASONING_TAGS else "undecided"


def _thinking_is(state: bool, parameters: Mapping[str, Any]) -> bool:
    template = parameters.get("chat_template_kwargs")
    inner = template.get("enable_thinking") if isinstance(template, Mapping) else None
    return parameters.get("enable_thinking") is state or inner is state


_ANY_CALL = re.compile("|".join(map(re.escape, [*forms_of(None), "```json"])))


def depends_on_model(body: Any, *, tools: bool) -> bool:
    """Return whether a whole answer reads otherwise once the model's family is known."""
    choices = body.get("choices") if isinstance(body, Mapping) else None
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, Mapping) else None
        text = message.get("content") if isinstance(message, Mapping) else None
        if isinstance(text, str) and (
            ANY_TAG.search(text)
            or text.lstrip().startswith(BARE_BEGINNINGS)
            or "assistantfinal" in text
            or (tools and _ANY_CALL.search(text) is not None)
        ):
            return True
    return False
