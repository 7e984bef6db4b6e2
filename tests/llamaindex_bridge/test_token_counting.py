"""Tokens as LlamaIndex counts them: by the server where its engine counts, else estimated with a warning."""

from __future__ import annotations

import copy
import pickle

import pytest
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import ChatMessage
from llama_index.core.node_parser import SentenceSplitter

from llamaindex_xinference_bridge import XinferenceLLM
from tests.llamaindex_bridge.tools import WEATHER
from xinference_bridge.integration.token_counting import EstimateWarning

HELLO = [ChatMessage(role="user", content="Hello")]


@pytest.fixture
def counting(connection):
    """A model whose engine counts."""
    return XinferenceLLM("tiny-chat-hf", connection=connection, temperature=0, max_tokens=30)


@pytest.mark.server
async def test_a_prompt_counts_as_many_tokens_as_its_answer_says_that_it_had(counting):
    usage = counting.chat(HELLO).raw["usage"]["prompt_tokens"]
    assert counting.count_tokens(HELLO) == counting.count_tokens("Hello") == usage
    assert await counting.acount_tokens(HELLO) == usage
    assert counting.count_tokens(HELLO, [WEATHER]) > usage


@pytest.mark.server
async def test_where_the_engine_does_not_count_a_warning_says_that_it_is_an_estimate(llm):
    with pytest.warns(EstimateWarning, match="does not expose chat token counting"):
        assert llm.count_tokens("Hello") == 2
    with pytest.warns(EstimateWarning):
        assert await llm.acount_tokens(HELLO) == 2
    tokenizer = llm.tokenizer
    with pytest.warns(EstimateWarning) as warned:
        assert [len(tokenizer(text)) for text in ("Hello", "Hello, how are you?")] == [2, 5]
    assert len(warned) == 1


@pytest.mark.server
def test_the_tokenizer_asks_once_for_each_text(counting):
    tokenizer = counting.tokenizer
    # The recording has one request for each text, and one for the empty template.
    assert [len(tokenizer(text)) for text in ("Hello", "Hello there", "Hello", "")] == [1, 2, 1, 0]


@pytest.mark.slow
@pytest.mark.server
def test_a_splitter_cuts_by_the_servers_count(counting):
    splitter = SentenceSplitter(chunk_size=12, chunk_overlap=0, tokenizer=counting.tokenizer)
    pieces = splitter.split_text("The capital of France is Paris. The capital of Italy is Rome.")
    assert pieces == ["The capital of France is Paris.", "The capital of Italy is Rome."]


@pytest.mark.server
async def test_a_token_counter_has_the_servers_numbers_whole_and_streamed(counting):
    handler = TokenCountingHandler(tokenizer=counting.tokenizer)
    counting.callback_manager = CallbackManager([handler])
    whole, (*_, streamed), awaited = counting.chat(HELLO), counting.stream_chat(HELLO), await counting.achat(HELLO)
    told = [response.raw["usage"] for response in (whole, streamed, awaited)]
    counted = [(event.prompt_token_count, event.completion_token_count) for event in handler.llm_token_counts]
    assert sorted(counted) == sorted((usage["prompt_tokens"], usage["completion_tokens"]) for usage in told)
    assert (0, 0) not in counted


def test_a_tokenizer_is_copied_and_pickled_with_its_model(counting):
    for copied in (copy.deepcopy(counting.tokenizer), pickle.loads(pickle.dumps(counting.tokenizer))):
        assert copied("") == []


@pytest.mark.parametrize("given", [{"additional_kwargs": {"top_k": 3}}, {"model_kwargs": {"top_k": 3}}])
def test_additional_kwargs_are_sent_with_every_call_as_model_kwargs_are(given):
    assert XinferenceLLM("m", **given).stated_parameters()["model_kwargs"] == {"top_k": 3}
