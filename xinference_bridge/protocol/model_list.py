"""A list of models that a notebook shows as a table. Pure."""

from __future__ import annotations

from html import escape

from xinference_bridge.protocol.model_info import ModelInfo

_COLUMNS = ("UID", "type", "name", "engine", "abilities", "context", "replicas")


class ModelList(list[ModelInfo]):
    """A list of `ModelInfo` that Jupyter shows as a table."""

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _cells(model))}</tr>" for model in self)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cells(model: ModelInfo) -> tuple[str, ...]:
    return (
        model.uid,
        model.type,
        model.name,
        model.engine or "",
        ", ".join(model.abilities),
        str(model.context_length or ""),
        str(model.replicas or ""),
    )
