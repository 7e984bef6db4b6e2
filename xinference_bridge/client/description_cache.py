"""What is known of the running models: kept until an answer says that a model is gone."""

from __future__ import annotations

from xinference_bridge.errors import (
    XinferenceConnectionError,
    XinferenceError,
    XinferenceModelLoadingError,
    XinferenceModelNotFoundError,
    XinferenceServerError,
)
from xinference_bridge.protocol.model_info import ModelInfo

#: After these a model may come back on another engine: what was kept of it is forgotten.
_GONE = (XinferenceModelNotFoundError, XinferenceModelLoadingError, XinferenceConnectionError, XinferenceServerError)


class DescriptionCache:
    """The descriptions that all share who share a connection; safe for threads."""

    def __init__(self) -> None:
        self._by_uid: dict[str, ModelInfo] = {}
        self._uid_of_name: dict[str, str] = {}

    def get(self, uid: str) -> ModelInfo | None:
        """Return what is known of this model, or None."""
        return self._by_uid.get(uid)

    def uid_of(self, uid_or_name: str) -> str:
        """Return the UID that a unique model name was found to stand for, and else the same string."""
        return self._uid_of_name.get(uid_or_name, uid_or_name)

    def keep_name(self, name: str, uid: str) -> None:
        """Keep which UID a unique model name stands for."""
        self._uid_of_name[name] = uid

    def keep(self, info: ModelInfo, uid: str) -> ModelInfo:
        """Keep one model's description under its UID, and return it."""
        self._by_uid[uid] = info
        return info

    def keep_all(self, models: list[ModelInfo]) -> list[ModelInfo]:
        """Replace all that is known by a list of the running models, and return that."""
        self._by_uid = {model.uid: model for model in models}
        return models

    def forget(self, uid: str) -> None:
        """Forget one model."""
        self._by_uid.pop(uid, None)

    def learn_from(self, error: XinferenceError, uid: str | None) -> None:
        """Forget a model that is gone or was restarted: it may come back on another engine."""
        if uid is not None and isinstance(error, _GONE):
            self._by_uid.pop(uid, None)
            for name in [name for name, known in self._uid_of_name.items() if known == uid]:
                self._uid_of_name.pop(name, None)
