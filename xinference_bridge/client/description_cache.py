"""The cache of model descriptions. An entry is valid until a response says that the model is gone."""

from __future__ import annotations

from xinference_bridge.errors import (
    XinferenceConnectionError,
    XinferenceError,
    XinferenceModelLoadingError,
    XinferenceModelNotFoundError,
    XinferenceServerError,
)
from xinference_bridge.protocol.model_info import ModelInfo

#: After these errors a model may come back on another engine, so its description is dropped.
_GONE = (XinferenceModelNotFoundError, XinferenceModelLoadingError, XinferenceConnectionError, XinferenceServerError)


class DescriptionCache:
    """The cached descriptions of a connection. Thread-safe."""

    def __init__(self) -> None:
        self._by_uid: dict[str, ModelInfo] = {}
        self._uid_of_name: dict[str, str] = {}

    def get(self, uid: str) -> ModelInfo | None:
        """Return the cached description of this model, or None."""
        return self._by_uid.get(uid)

    def uid_of(self, uid_or_name: str) -> str:
        """Return the UID of a unique model name, if known, or else the same string."""
        return self._uid_of_name.get(uid_or_name, uid_or_name)

    def keep_name(self, name: str, uid: str) -> None:
        """Store the UID of a unique model name."""
        self._uid_of_name[name] = uid

    def keep(self, info: ModelInfo, uid: str) -> ModelInfo:
        """Store one model's description by its UID, and return it."""
        self._by_uid[uid] = info
        return info

    def keep_all(self, models: list[ModelInfo]) -> list[ModelInfo]:
        """Replace all descriptions with a list of the running models, and return it."""
        self._by_uid = {model.uid: model for model in models}
        return models

    def forget(self, uid: str) -> None:
        """Forget one model."""
        self._by_uid.pop(uid, None)

    def learn_from(self, error: XinferenceError, uid: str | None) -> None:
        """Drop a model that is gone or was restarted, because it may come back on another engine."""
        if uid is not None and isinstance(error, _GONE):
            self._by_uid.pop(uid, None)
            for name in [name for name, known in self._uid_of_name.items() if known == uid]:
                self._uid_of_name.pop(name, None)
