"""What beginners pass as the first arguments of a constructor, in both bridges."""

from __future__ import annotations

import re
from typing import Any

import pytest

import langchain_xinference_bridge as langchain_bridge
import llamaindex_xinference_bridge as llamaindex_bridge
from xinference_bridge import XinferenceConfigurationError

LANGCHAIN = [
    langchain_bridge.ChatXinference,
    langchain_bridge.XinferenceLLM,
    langchain_bridge.XinferenceEmbeddings,
    langchain_bridge.XinferenceRerank,
]
LLAMAINDEX = [
    llamaindex_bridge.XinferenceLLM,
    llamaindex_bridge.XinferenceEmbedding,
    llamaindex_bridge.XinferenceRerank,
    llamaindex_bridge.XinferenceAudioReader,
    llamaindex_bridge.XinferenceOCRReader,
]


@pytest.mark.parametrize("kind", LANGCHAIN)
def test_a_model_in_the_place_of_the_url_is_told_what_to_write(kind: Any):
    with pytest.raises(XinferenceConfigurationError) as caught:
        kind("qwen2.5-instruct")
    assert str(caught.value).endswith(f"Pass the model by name: {kind.__name__}(model_uid='qwen2.5-instruct').")


@pytest.mark.parametrize("kind", LANGCHAIN)
@pytest.mark.parametrize("url", ["http://gpu:9997", "gpu:9997", "localhost", "10.0.0.7"])
def test_a_url_alone_is_asked_for_the_model_only(kind: Any, url: str):
    with pytest.raises(XinferenceConfigurationError, match=r"requires model_uid= .* prints\.$"):
        kind(url)


@pytest.mark.parametrize("kind", [*LANGCHAIN, *LLAMAINDEX])
def test_a_url_in_the_place_of_the_model_is_refused(kind: Any):
    named = {"model": "http://gpu:9997"}
    with pytest.raises(XinferenceConfigurationError, match=re.escape("model_uid='http://gpu:9997' is a URL")):
        kind(**named)
