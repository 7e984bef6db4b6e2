"""The unit suites of langchain-tests. No server: they bind tools and schemas, write models out and read them again."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from langchain_tests.unit_tests import ChatModelUnitTests, EmbeddingsUnitTests

from langchain_xinference_bridge import ChatXinference, XinferenceEmbeddings

_ENVIRONMENT = {"XINFERENCE_ENDPOINT": "http://example.org:9997", "XINFERENCE_API_KEY": "test"}
_FROM_ENVIRONMENT = {"server_url": "http://example.org:9997", "api_key": "test"}


class TestChatUnit(ChatModelUnitTests):
    @pytest.fixture(autouse=True)
    def _allowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Lets `allowed_objects="all"` mean this class too.

        It means the classes that langchain-core lists itself, and no package can add to the list; users name the class,
        as tests/langchain_bridge/test_fields.py does.
        """
        load = sys.modules["langchain_core.load.load"]  # hidden behind the function of its name
        listed = load._get_default_allowed_class_paths
        monkeypatch.setattr(
            load, "_get_default_allowed_class_paths", lambda kind: {*listed(kind), tuple(ChatXinference.lc_id())}
        )

    @property
    def chat_model_class(self) -> type[ChatXinference]:
        return ChatXinference

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "tiny-chat"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return _ENVIRONMENT, {"model": "tiny-chat"}, _FROM_ENVIRONMENT


class TestEmbeddingsUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[XinferenceEmbeddings]:
        return XinferenceEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "minilm"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return _ENVIRONMENT, {"model": "minilm"}, _FROM_ENVIRONMENT
