"""Pydantic objects made without validation, of values that this package has read and checked itself."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import lru_cache, partial
from typing import Any, TypeVar

from pydantic import BaseModel

Made = TypeVar("Made", bound=BaseModel)


def unchecked(kind: type[Made], **fields: Any) -> Made:
    """The object of these fields and its defaults, as its constructor makes it of valid ones.

    Made as pydantic makes a copy; `model_construct` goes through all fields by name, which for a response of three
    objects costs as much as everything else that is done for a token.
    """
    made = kind.__new__(kind)
    in_order, made_anew, more = _defaults(kind)
    values = {**in_order, **fields}
    for name, make in made_anew:
        if name not in fields:
            values[name] = make()
    _set(made, "__dict__", values)
    _set(made, "__pydantic_fields_set__", set(fields))
    _set(made, "__pydantic_extra__", {} if more else None)
    _set(made, "__pydantic_private__", None)
    return made


_set = object.__setattr__


@lru_cache(maxsize=32)
def _defaults(kind: type[BaseModel]) -> tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]], bool]:
    """All fields in their order with the defaults that may be shared, what makes the others, and if any field goes."""
    in_order: dict[str, Any] = {}
    made_anew: list[tuple[str, Callable[[], Any]]] = []
    for name, field in kind.model_fields.items():
        in_order[name] = None if field.is_required() else field.default
        if field.default_factory is not None:
            made_anew.append((name, field.default_factory))  # type: ignore[arg-type] # none here takes the other fields
        elif isinstance(field.default, (list, dict, set)):
            made_anew.append((name, partial(copy, field.default)))
    return in_order, made_anew, kind.model_config.get("extra") == "allow"
