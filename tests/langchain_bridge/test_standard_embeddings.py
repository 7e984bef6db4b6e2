"""The integration suite of langchain-tests for embeddings."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_tests.integration_tests import EmbeddingsIntegrationTests

from langchain_xinference_bridge import XinferenceEmbeddings
from tests.support.lab import Lab

pytestmark = pytest.mark.server


class TestEmbeddings(EmbeddingsIntegrationTests):
    @pytest.fixture(autouse=True)
    def _on_the_lab(self, lab: Lab) -> None:
        self.lab = lab

    @property
    def embeddings_class(self) -> type[XinferenceEmbeddings]:
        return XinferenceEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "minilm", "server_url": self.lab.url, "api_key": self.lab.api_key}
